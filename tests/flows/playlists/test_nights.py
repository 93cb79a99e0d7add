"""When a listener's night is."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from db.listeners import Listener
from flows.playlists.nights import (
    DateError,
    ZoneError,
    check_date,
    dates_around,
    due_at,
    nights_due,
    present_date,
    zone,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def listener(name, time_zone, created_at=LONG_AGO):
    return Listener(name, time_zone, None, "00", LONG_AGO, created_at)


def utc(*when):
    return datetime(*when, tzinfo=UTC)


def test_a_night_is_due_at_an_hour_of_the_listeners_clock_in_summer_and_in_winter():
    assert due_at(date(2026, 1, 15), "Europe/Berlin", 4) == utc(2026, 1, 15, 3)
    assert due_at(date(2026, 7, 15), "Europe/Berlin", 4) == utc(2026, 7, 15, 2)
    assert due_at(date(2026, 7, 15), "Asia/Kolkata", 4) == utc(2026, 7, 14, 22, 30)


def test_the_hour_that_is_skipped_in_spring_comes_once_and_the_one_that_comes_twice_in_autumn_too():
    assert due_at(date(2026, 3, 29), "Europe/Berlin", 2) == utc(2026, 3, 29, 1)  # 02:00 is 03:00 that night
    assert due_at(date(2026, 10, 25), "Europe/Berlin", 2) == utc(2026, 10, 25, 0)  # the first of two


def test_every_date_of_a_year_with_both_changes_has_one_night_and_they_go_on_in_time():
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    for hour in range(24):
        moments = [due_at(day, "America/New_York", hour) for day in days]
        gaps = {later - earlier for earlier, later in pairwise(moments)}
        assert gaps <= {timedelta(hours=hours) for hours in (23, 24, 25)}


def test_a_date_that_a_zone_left_out_has_no_night():
    assert due_at(date(2011, 12, 30), "Pacific/Apia", 4) is None
    assert present_date("Pacific/Apia", utc(2011, 12, 30, 12), 4) == date(2011, 12, 29)


def test_only_those_whose_night_has_come_are_due_and_the_rest_have_yesterdays():
    people = [listener("ann", "Asia/Tokyo"), listener("ben", "UTC"), listener("cat", "UTC")]
    now = utc(2026, 5, 1, 3)  # noon in Tokyo, an hour before the night in UTC
    nights, strange = nights_due(people, set(), now=now, hour=4, catch_up=0)
    assert [(night.date.day, night.names) for night in nights] == [(30, ("ben", "cat")), (1, ("ann",))]
    assert all(night.is_present for night in nights)
    assert not strange


def test_missed_nights_are_made_up_for_oldest_first_and_none_twice():
    ann = listener("ann", "UTC")
    have = {("ann", date(2026, 5, 2))}
    nights, _ = nights_due([ann], have, now=utc(2026, 5, 4, 5), hour=4, catch_up=3)
    assert [(night.date.day, night.is_present) for night in nights] == [(1, False), (3, False), (4, True)]


def test_nights_before_somebody_came_were_not_missed():
    ann = listener("ann", "UTC", created_at=utc(2026, 5, 3, 12))
    nights, _ = nights_due([ann], set(), now=utc(2026, 5, 4, 5), hour=4, catch_up=3)
    assert [night.date.day for night in nights] == [4]


def test_a_zone_that_is_none_is_named_and_takes_no_other_listener_with_it():
    people = [listener("ann", "Mars/Olympus"), listener("ben", "UTC")]
    nights, strange = nights_due(people, set(), now=utc(2026, 5, 1, 12), hour=4, catch_up=0)
    assert nights[0].names == ("ben",)
    assert "Mars/Olympus" in strange["ann"]
    with pytest.raises(ZoneError, match="no time zone"):
        zone("../../etc/passwd")


def test_a_date_can_be_asked_for_and_the_dates_looked_at_cover_every_zone():
    people = [listener("ann", "Pacific/Kiritimati"), listener("ben", "Pacific/Pago_Pago")]
    nights, _ = nights_due(people, set(), now=utc(2026, 5, 4, 5), hour=4, catch_up=0, only=date(2026, 4, 1))
    assert {night.date for night in nights} == {date(2026, 4, 1)}
    assert not any(night.is_present for night in nights)
    for hour in range(24):
        now = utc(2026, 5, 4, hour, 59)
        looked_at = set(dates_around(now, 2, None))
        found, _ = nights_due(people, set(), now=now, hour=4, catch_up=2)
        assert {night.date for night in found} <= looked_at


def test_a_date_that_is_asked_for_is_made_for_whom_it_is_due_only():
    people = [listener("ann", "Pacific/Kiritimati"), listener("ben", "Pacific/Pago_Pago"), listener("cat", "UTC")]

    def names(on, now):
        nights, _ = nights_due(people, set(), now=now, hour=4, catch_up=0, only=on)
        return [name for night in nights for name in night.names]

    assert names(date(2026, 5, 4), utc(2026, 5, 3, 20)) == ["ann"]
    assert names(date(2026, 5, 4), utc(2026, 5, 5, 20)) == ["ann", "cat", "ben"]
    assert names(date(2099, 1, 1), utc(2026, 5, 5)) == []


def test_a_date_that_is_due_for_nobody_or_before_everybody_is_refused():
    people = [listener("ann", "Asia/Tokyo"), listener("ben", "UTC", created_at=utc(2026, 5, 1))]
    now = utc(2026, 5, 3, 22)  # the fourth has come in Tokyo
    for on in (date(2020, 1, 1), date(2026, 5, 3), date(2026, 5, 4)):
        check_date(on, people, now=now, hour=4)
    with pytest.raises(
        DateError, match="of 2026-05-05 are not due yet; the newest that are due are those of 2026-05-04"
    ):
        check_date(date(2026, 5, 5), people, now=now, hour=4)
    with pytest.raises(DateError, match="2019-12-31 is before the first listener was added"):
        check_date(date(2019, 12, 31), people, now=now, hour=4)
