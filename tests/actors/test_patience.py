"""Patience: what is repeated, and for how long."""

import time

import pytest

from actors.patience import Patience
from db.errors import DatabaseUnavailableError, DatabaseUrlError, ObjectCredentialsError


def failing(error, times):
    calls = []

    def work():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work


def test_a_service_that_comes_back_is_waited_for():
    assert Patience(10).call(failing(DatabaseUnavailableError("away"), 3)) == 4


def test_a_service_that_stays_away_is_given_up():
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        Patience(0.5).call(failing(DatabaseUnavailableError("away"), 1000))
    assert time.monotonic() - began < 1


def test_long_work_before_a_service_goes_away_uses_up_no_patience():
    attempts = iter([0.6, 0.0])

    def work():
        if pause_s := next(attempts):
            time.sleep(pause_s)
            raise DatabaseUnavailableError("away")
        return "done"

    assert Patience(0.5).call(work) == "done"


@pytest.mark.parametrize("error", [DatabaseUrlError("x"), ObjectCredentialsError("x"), ValueError("x")])
def test_what_does_not_pass_is_not_repeated(error):
    began = time.monotonic()
    with pytest.raises(type(error)):
        Patience(10).call(failing(error, 1))
    assert time.monotonic() - began < 0.1


def test_nobody_waits_once_asked_to_stop():
    with pytest.raises(DatabaseUnavailableError):
        Patience(60, given_up=lambda: True).call(failing(DatabaseUnavailableError("away"), 1))
