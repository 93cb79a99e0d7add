"""Which take of a draft is kept."""

import itertools

from models.score.takes import Takes


def test_takes_begin_in_order_up_to_the_limit():
    takes = Takes(3)
    assert [takes.begin() for _ in range(4)] == [0, 1, 2, None]


def test_nothing_begins_behind_a_take_that_is_settled():
    takes = Takes(4)
    takes.begin(), takes.begin()
    takes.end(1, "good", settled=True)
    assert takes.begin() is None
    assert takes.kept() is None  # the first may still be good


def test_the_lowest_settled_take_is_kept_in_whatever_order_they_end():
    for order in itertools.permutations(range(4)):
        takes = Takes(4)
        while takes.begin() is not None:
            pass
        for number in order:
            if takes.kept() is None:
                takes.end(number, f"take {number}", settled=number in (1, 3))
        assert takes.kept() == (1, "take 1"), order


def test_the_last_take_is_kept_where_none_is_settled():
    takes = Takes(2)
    for number in (takes.begin(), takes.begin()):
        takes.end(number, number, settled=False)
    assert takes.kept() == (1, 1)


def test_a_dropped_take_begins_again():
    takes = Takes(3)
    takes.begin(), takes.begin()
    takes.drop(1)
    assert takes.begin() == 1


def test_a_take_that_came_to_no_end_gives_way_to_one_before_it():
    takes = Takes(3)
    for number in (takes.begin(), takes.begin()):
        takes.end(number, number, settled=number == 1, whole=number == 0)
    assert takes.kept() == (0, 0)


def test_a_take_that_came_to_no_end_is_kept_where_none_did():
    takes = Takes(3)
    takes.end(takes.begin(), "broken off", settled=True, whole=False)
    assert takes.kept() == (0, "broken off")
