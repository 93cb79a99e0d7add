"""How far ahead a worker takes work."""

from actors.pace import Pace


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_worker_of_slow_pieces_asks_for_its_free_slots_and_holds_few():
    clock = Clock()
    pace = Pace(4, clock)
    for _ in range(20):
        clock.now += 10
        pace.finished(1)
    assert pace.claims_at_once(free=2) == 2
    assert pace.holds_at_most() == 12


def test_a_worker_of_quick_pieces_takes_a_quarter_of_a_second_of_them():
    clock = Clock()
    pace = Pace(4, clock)
    for _ in range(100):
        clock.now += 0.1
        pace.finished(40)
    assert 300 <= pace.holds_at_most() <= 440
    assert pace.claims_at_once(free=4) == pace.holds_at_most() // 4


def test_what_was_quick_once_is_forgotten():
    clock = Clock()
    pace = Pace(4, clock)
    pace.finished(5_000)
    assert pace.holds_at_most() == 1_024
    clock.now += 1.1
    assert pace.holds_at_most() == 12
