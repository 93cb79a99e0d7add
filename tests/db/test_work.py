"""The work queue: leases, fences, attempts, two runs at once."""

import threading
import time

import pytest
from sqlalchemy import text

from db.assets import record_assets
from db.errors import UnknownRunError
from db.runs import (
    cancel_run,
    drive_run,
    fail_run,
    finish_run,
    get_run,
    resume_run,
    stop_run,
    take_run,
)
from db.work import (
    MAX_ATTEMPTS,
    Failure,
    Held,
    Progress,
    claim,
    complete_many,
    give_back,
    heartbeat,
    list_set_aside,
    progress,
    release_expired,
    release_owner,
    set_aside,
)


def take(database, run, owner="w", limit=9, lease_s=60.0, **options):
    with database.unit_of_work() as session:
        return claim(session, run, owner, limit, lease_s, **options)


def complete(database, owner, claims):
    with database.unit_of_work() as session:
        return complete_many(session, owner, [Held(one.recipe_id, one.attempt) for one in claims])


def fail(database, owner, claims):
    with database.unit_of_work() as session:
        return set_aside(
            session,
            owner,
            [Failure(one.recipe_id, one.attempt, "broken string", "Traceback: line 1") for one in claims],
        )


def run_step(database, step, *arguments):
    with database.unit_of_work() as session:
        return step(session, *arguments)


def test_claims_come_in_the_order_of_the_plan_with_their_bodies(database, plant):
    run = plant.plan(3, 1, 2)
    claims = take(database, run, limit=2)
    assert [one.recipe_id for one in claims] == plant.ids(3, 1)
    assert [(one.attempt, one.solo, one.body["seed"]) for one in claims] == [(1, False, 3), (1, False, 1)]
    assert [one.recipe_id for one in take(database, run)] == plant.ids(2)
    assert take(database, run) == []


def test_workers_side_by_side_never_get_the_same_row_and_miss_none(database, plant):
    run = plant.plan(*range(300))
    taken = {}

    def work(owner):
        taken[owner] = []
        while claims := take(database, run, owner, limit=7):
            taken[owner] += [one.recipe_id for one in claims]
            complete(database, owner, claims)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    every = [identity for ids in taken.values() for identity in ids]
    assert sorted(every) == sorted(plant.ids(*range(300)))
    assert run_step(database, progress, run) == Progress(queued=0, claimed=0, done=300, failed=0)


def test_rows_locked_by_an_open_claim_are_passed_over_not_waited_for(database, plant):
    run = plant.plan(1, 2)
    with database.unit_of_work() as session:
        assert len(claim(session, run, "slow", 1, 60)) == 1
        assert [one.recipe_id for one in take(database, run, "quick")] == plant.ids(2)


def test_an_expired_lease_goes_back_and_a_live_one_stays(database, plant):
    run = plant.plan(1, 2)
    take(database, run, "dead", limit=1, lease_s=0.0)
    take(database, run, "live", limit=1)
    time.sleep(0.01)
    assert run_step(database, release_expired) == 1
    assert run_step(database, progress, run) == Progress(queued=1, claimed=1, done=0, failed=0)


def test_a_heartbeat_keeps_a_lease(database, plant):
    run = plant.plan(1, 2)
    take(database, run, "w", lease_s=0.0)
    assert run_step(database, heartbeat, "w", 60.0) == 2
    assert run_step(database, release_expired) == 0


def test_a_row_tried_before_is_given_only_alone(database, plant):
    run = plant.plan(1, 2, 3)
    take(database, run, "dead", limit=2, lease_s=0.0)
    time.sleep(0.01)
    run_step(database, release_expired)
    assert [one.recipe_id for one in take(database, run)] == plant.ids(3)
    assert take(database, run) == []
    [alone] = take(database, run, solo=True)
    assert (alone.recipe_id, alone.attempt, alone.solo) == (*plant.ids(1), 2, True)


def test_a_row_whose_worker_is_lost_for_the_third_time_is_set_aside(database, plant):
    run = plant.plan(1, 2)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        [one] = take(database, run, f"w{attempt}", limit=1, solo=True)
        assert (one.recipe_id, one.attempt) == (*plant.ids(1), attempt)
        assert run_step(database, release_owner, f"w{attempt}") == 1
    assert run_step(database, progress, run) == Progress(queued=1, claimed=0, done=0, failed=1)
    [aside] = run_step(database, list_set_aside, run)
    assert (aside.recipe_id, aside.attempt) == (*plant.ids(1), 3)
    assert "lost 3 times" in aside.error


def test_giving_back_counts_no_attempt(database, plant):
    run = plant.plan(1, 2)
    take(database, run, "w")
    assert run_step(database, give_back, "w") == 2
    assert [(one.attempt, one.solo) for one in take(database, run, "x")] == [(1, False), (1, False)]


def test_a_stale_worker_completes_nothing(database, plant):
    run = plant.plan(1)
    stale = take(database, run, "stale", lease_s=0.0)
    time.sleep(0.01)
    run_step(database, release_expired)
    assert complete(database, "stale", stale) == frozenset()
    again = take(database, run, "new", solo=True)
    assert complete(database, "stale", stale) == frozenset()
    assert fail(database, "stale", stale) == frozenset()
    assert run_step(database, heartbeat, "stale", 60.0) == 0
    assert complete(database, "new", again) == frozenset(plant.ids(1))


def test_an_attempt_given_back_and_taken_by_another_is_no_longer_the_first_ones(database, plant):
    run = plant.plan(1)
    first = take(database, run, "first")
    run_step(database, give_back, "first")
    second = take(database, run, "second")
    assert first[0].attempt == second[0].attempt
    assert complete(database, "first", first) == frozenset()
    assert complete(database, "second", second) == frozenset(plant.ids(1))


def test_a_failure_is_listed_with_its_words_and_the_rest_goes_on(database, plant):
    run = plant.plan(1, 2, 3)
    claims = take(database, run)
    assert fail(database, "w", claims[1:2]) == frozenset(plant.ids(2))
    complete(database, "w", [claims[0], claims[2]])
    assert run_step(database, progress, run) == Progress(queued=0, claimed=0, done=2, failed=1)
    [aside] = run_step(database, list_set_aside, run)
    assert (aside.recipe_id, aside.prompt) == (*plant.ids(2), "slow solo piano, number 2")
    assert (aside.error, aside.traceback) == ("broken string", "Traceback: line 1")


def test_an_error_whose_words_the_database_cannot_hold_is_still_recorded(database, plant):
    run = plant.plan(1)
    [one] = take(database, run)
    words = "bad \x00 and \ud800"
    run_step(database, set_aside, "w", [Failure(one.recipe_id, one.attempt, words, words)])
    [aside] = run_step(database, list_set_aside, run)
    assert aside.error == "bad \\x00 and \\ud800"


def test_two_runs_of_one_recipe_share_its_work_and_both_see_it_done(database, plant):
    first, second = plant.plan(1, 2), plant.plan(2, 3)
    claims = take(database, first)
    assert [one.recipe_id for one in take(database, second, "x")] == plant.ids(3)
    assert run_step(database, progress, second) == Progress(queued=0, claimed=2, done=0, failed=0)
    complete(database, "w", claims)
    assert run_step(database, progress, first) == Progress(queued=0, claimed=0, done=2, failed=0)
    assert run_step(database, progress, second) == Progress(queued=0, claimed=1, done=1, failed=0)


def test_a_cancelled_run_hands_out_nothing_and_leaves_the_other_run_its_items(database, plant):
    first, second = plant.plan(1, 2), plant.plan(2)
    assert run_step(database, cancel_run, first).state == "cancelled"
    assert take(database, first) == []
    assert [one.recipe_id for one in take(database, second)] == plant.ids(2)


def test_work_under_way_when_its_run_is_cancelled_may_still_be_recorded(database, plant):
    run = plant.plan(1)
    claims = take(database, run)
    run_step(database, cancel_run, run)
    assert complete(database, "w", claims) == frozenset(plant.ids(1))


@pytest.mark.parametrize("end", ["cancel", "fail", "finish"])
def test_a_resumed_run_goes_on_and_tries_again_what_was_set_aside(database, plant, end):
    run = plant.plan(1, 2, 3)
    claims = take(database, run, limit=2)
    complete(database, "w", claims[:1])
    fail(database, "w", claims[1:])
    if end == "cancel":
        run_step(database, cancel_run, run)
    elif end == "fail":
        assert run_step(database, fail_run, run, 1.0, "no store").error == "no store"
    else:
        run_step(database, finish_run, run, 1.0)
    resumed = run_step(database, resume_run, run)
    assert (resumed.state, resumed.error, resumed.finished_at) == ("running", None, None)
    assert run_step(database, progress, run) == Progress(queued=2, claimed=0, done=1, failed=0)
    assert [(one.recipe_id, one.attempt) for one in take(database, run)] == [
        (identity, 1) for identity in plant.ids(2, 3)
    ]


def test_a_run_is_driven_for_a_lease_by_whom_it_was_taken_last_and_only_they_stop_it(database, plant):
    run = plant.plan(1, 2)
    assert not run_step(database, get_run, run).is_driven
    run_step(database, take_run, run, "first", 60.0)
    assert run_step(database, get_run, run).is_driven
    run_step(database, take_run, run, "second", 0.0)
    run_step(database, drive_run, run, "first", 1.0, 60.0)
    assert not run_step(database, get_run, run).is_driven, "the one who has it says nothing"
    run_step(database, drive_run, run, "second", 2.0, 60.0)
    assert run_step(database, stop_run, run, "first", 0.5).state == "running"
    stopped = run_step(database, stop_run, run, "second", 0.5)
    assert (stopped.state, stopped.wall_s, stopped.finished_at is None) == ("stopped", 3.5, False)
    assert take(database, run) == []
    assert run_step(database, finish_run, run, 1.0).state == "stopped"
    assert run_step(database, resume_run, run).state == "running"
    assert len(take(database, run)) == 2


def test_a_run_that_was_stopped_can_be_cancelled_and_keeps_its_time(database, plant):
    run = plant.plan(1)
    run_step(database, take_run, run, "driver", 60.0)
    run_step(database, stop_run, run, "driver", 2.5)
    cancelled = run_step(database, cancel_run, run)
    assert (cancelled.state, cancelled.wall_s) == ("cancelled", 2.5)


def test_an_item_whose_work_ended_while_its_plan_was_being_written_is_closed(database, plant):
    first = plant.plan(1)
    claims = take(database, first)
    second = plant.plan(1)
    complete(database, "w", claims)
    with database.unit_of_work() as session:  # what the plan would have written, had it looked before the commit
        session.execute(text("UPDATE run_items SET open = true WHERE run_id = :run"), {"run": second})
    assert run_step(database, progress, second).open == 1
    assert take(database, second) == []
    assert run_step(database, progress, second) == Progress(queued=0, claimed=0, done=1, failed=0)


def test_finishing_adds_up_the_time_over_resumes_and_a_finished_run_stays(database, plant):
    run = plant.plan(1)
    assert run_step(database, finish_run, run, 2.5).wall_s == 2.5
    assert run_step(database, cancel_run, run).state == "done"
    run_step(database, resume_run, run)
    assert run_step(database, finish_run, run, 1.5).wall_s == 4.0


def test_a_run_is_found_by_the_beginning_of_its_id(database, plant):
    run = plant.plan(1)
    assert run_step(database, get_run, run[:4]).id == run
    with pytest.raises(UnknownRunError, match="give at least 4 digits of a run's id"):
        run_step(database, get_run, run[:3])
    for unknown in ("zzzz", run[:3], "", "%%%%", run + "0"):
        with pytest.raises(UnknownRunError):
            run_step(database, get_run, unknown)


@pytest.mark.parametrize("step", [cancel_run, resume_run, progress])
def test_a_run_that_is_not_there_is_said_so(database, step):
    with pytest.raises(UnknownRunError, match="abcdef"):
        run_step(database, step, "abcdef")


def test_heartbeats_and_commits_of_one_worker_do_not_block_each_other(database, plant):
    run = plant.plan(*range(200))
    stop = threading.Event()
    beats = []

    def beat():
        while not stop.is_set():
            beats.append(run_step(database, heartbeat, "w", 60.0))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        while claims := take(database, run, limit=50):
            with database.unit_of_work() as session:
                record_assets(session, plant.maker("w"), [plant.finished(one) for one in reversed(claims)])
    finally:
        stop.set()
        thread.join(30)
    assert run_step(database, progress, run).done == 200
    assert beats


def test_what_was_claimed_and_not_begun_can_be_given_back_by_itself(database, plant):
    run_id = plant.plan(1, 2, 3)
    first, *others = run_step(database, claim, run_id, "w", 3, 60)
    assert run_step(database, give_back, "w", [each.recipe_id for each in others]) == 2
    again = run_step(database, claim, run_id, "v", 3, 60)
    assert [each.attempt for each in again] == [1, 1]
    assert first.recipe_id not in {each.recipe_id for each in again}


def test_all_but_what_its_claimer_knows_of_can_be_given_back(database, plant):
    run_id = plant.plan(1, 2, 3)
    first, *lost = run_step(database, claim, run_id, "w", 3, 60)
    with database.unit_of_work() as session:
        assert give_back(session, "w", but={first.recipe_id}) == 2
    again = run_step(database, claim, run_id, "w", 3, 60)
    assert [(each.recipe_id, each.attempt) for each in again] == [(each.recipe_id, 1) for each in lost]
