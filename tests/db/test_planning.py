"""Planning runs."""

import tracemalloc
from dataclasses import replace

import pytest
from sqlalchemy import text

from db.assets import record_assets
from db.errors import InvalidValueError, UnknownModelVersionError
from db.planning import PlanCounts, plan_run
from db.runs import NewRun, get_run, list_runs, new_run_id
from db.work import Failure, claim, progress, set_aside


def new_run():
    return NewRun(new_run_id(), "study", {}, "sha256:" + "0" * 64)


def count(database, table):
    with database.unit_of_work() as session:
        return session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def make(database, plant, run, limit):
    with database.unit_of_work() as session:
        claims = claim(session, run, "w", limit, 60)
        record_assets(session, plant.maker("w"), [plant.finished(one) for one in claims])
    return claims


def test_planning_the_same_twice_adds_no_recipe_and_no_work(database, plant):
    first, counts = plant.plan_counted(1, 2, 3)
    assert counts == PlanCounts(planned=3, fresh=3, reused=0)
    second, counts = plant.plan_counted(1, 2, 3)
    assert counts == PlanCounts(planned=3, fresh=3, reused=0)
    assert first != second
    assert count(database, "recipes") == count(database, "work") == 3
    assert count(database, "run_items") == 6


def test_a_recipe_that_has_an_asset_is_reused(database, plant):
    make(database, plant, plant.plan(1, 2), 2)
    run, counts = plant.plan_counted(1, 2, 3)
    assert counts == PlanCounts(planned=3, fresh=1, reused=2)
    with database.unit_of_work() as session:
        assert get_run(session, run).reused == 2
        assert [one.recipe_id for one in claim(session, run, "w", 9, 60)] == plant.ids(3)


def test_a_recipe_that_comes_twice_counts_once_at_its_first_place(database, plant):
    run, counts = plant.plan_counted(5, 1, 5, 2, 1)
    assert counts.planned == 3
    with database.unit_of_work() as session:
        assert [one.recipe_id for one in claim(session, run, "w", 9, 60)] == plant.ids(5, 1, 2)


def test_work_that_failed_is_queued_again_by_a_new_run_with_its_attempts_forgotten(database, plant):
    run = plant.plan(1)
    with database.unit_of_work() as session:
        [one] = claim(session, run, "w", 1, 60)
        set_aside(session, "w", [Failure(one.recipe_id, one.attempt, "broken", "Traceback")])
    again, counts = plant.plan_counted(1, 2)
    assert counts == PlanCounts(planned=2, fresh=2, reused=0)
    with database.unit_of_work() as session:
        assert [one.attempt for one in claim(session, again, "w", 9, 60)] == [1, 1]
        assert progress(session, run).claimed == 1, "the earlier run sees it being made, too"


def test_an_error_while_recipes_are_drawn_leaves_nothing_behind(database, plant):
    def broken():
        yield plant.recipe(1)
        yield plant.recipe(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        plan_run(database, new_run(), broken())
    assert [count(database, table) for table in ("recipes", "work", "run_items", "runs", "catalogues")] == [0] * 5


def test_a_model_version_that_was_never_registered_is_refused(database, plant):
    stranger = replace(plant.recipe(1), model_digest="sha256:" + "f" * 64)
    with pytest.raises(UnknownModelVersionError, match="ffff"):
        plan_run(database, new_run(), [plant.recipe(2), stranger])
    assert count(database, "recipes") == 0


@pytest.mark.parametrize(
    "changes", [{"prompt": "a\x00b"}, {"prompt": "a\ud800b"}, {"body": '{"prompt":"a\\u0000b"}'}]
)
def test_a_prompt_that_the_database_cannot_hold_is_refused_by_name(database, plant, changes):
    with pytest.raises(InvalidValueError, match=plant.recipe(1).id[:12]):
        plan_run(database, new_run(), [replace(plant.recipe(1), **changes)])
    assert count(database, "recipes") == 0


def test_prompts_in_any_script_come_back_as_they_were(database, plant):
    prompts = ["piano à l'aube", "雨の夜のピアノ", "tabs\tand\nlines\\N", '"quoted" {json}', "🎻"]
    run = new_run()
    plan_run(database, run, [plant.recipe(number, prompt) for number, prompt in enumerate(prompts)])
    with database.unit_of_work() as session:
        assert [one.body["prompt"] for one in claim(session, run.id, "w", 9, 60)] == prompts


def test_an_order_of_nothing_is_a_run_of_nothing(database, plant):
    run, counts = plant.plan_counted()
    assert counts == PlanCounts(planned=0, fresh=0, reused=0)
    with database.unit_of_work() as session:
        assert progress(session, run).total == 0
        assert [one.id for one in list_runs(session)] == [run]


@pytest.mark.slow
def test_memory_stays_flat_however_many_recipes_stream_through(database, plant):
    def peak(amount):
        tracemalloc.start()
        plan_run(database, new_run(), map(plant.recipe, range(amount)))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(100)
    assert peak(20_000) < peak(2_000) + 2_000_000
