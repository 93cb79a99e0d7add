"""Finding the objects that no row names."""

import pytest
from sqlalchemy import text

from db.assets import AssetFile, NewAsset, Parent, record_assets
from db.digests import StoredObject, digest_of
from db.errors import WorkUnderWayError
from db.planning import plan_run
from db.runs import NewRun, new_run_id
from db.sweeping import hold_work, unnamed
from db.work import claim


@pytest.fixture
def made(database, plant):
    """An asset with one file, made from vocals; the digests of both."""
    run_id = plant.plan(1)
    with database.unit_of_work() as session:
        (only,) = claim(session, run_id, "w", 1, 60)
    file, vocals = digest_of(b"file"), digest_of(b"vocals")
    files = (AssetFile("midi", "score.mid", file, "audio/midi", 4),)
    asset: NewAsset = plant.finished(only, files=files, parents=(Parent(vocals, "vocals"),))
    with database.unit_of_work() as session:
        record_assets(session, plant.maker("w"), [asset])
    return file, vocals


def test_files_of_assets_and_what_they_were_made_from_are_named_and_nothing_else(database, made):
    stray = StoredObject(digest_of(b"stray"), 5)
    with database.unit_of_work() as session:
        hold_work(session)
        assert list(unnamed(session, [*(StoredObject(digest, 1) for digest in made), stray])) == [stray]


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_what_a_piece_is_still_to_be_made_from_is_named(database, plant, state):
    tune, vocals = (StoredObject(digest_of(data), 1) for data in (b"tune", b"voice"))
    controls = ({"melody": tune.digest}, {"accompany": {"vocals": vocals.digest, "balance_db": -3.0}}, {})
    recipes = [plant.recipe(number, controls=each) for number, each in enumerate(controls)]
    plan_run(database, NewRun(new_run_id(), "study", {}, "sha256:" + "0" * 64), recipes)
    stray = StoredObject(digest_of(b"stray"), 5)
    with database.unit_of_work() as session:
        session.execute(text("UPDATE work SET state = :state"), {"state": state})
        assert list(unnamed(session, [tune, vocals, stray])) == [stray]


def test_a_store_is_not_swept_while_something_is_made(database, plant):
    run_id = plant.plan(1)
    with database.unit_of_work() as session:
        claim(session, run_id, "w", 1, 60)
    with pytest.raises(WorkUnderWayError, match="1 pieces are being made"), database.unit_of_work() as session:
        hold_work(session)


def test_what_a_lost_worker_holds_does_not_keep_a_store_from_being_swept(database, plant):
    run_id = plant.plan(1)
    with database.unit_of_work() as session:
        claim(session, run_id, "w", 1, -1)
    with database.unit_of_work() as session:
        hold_work(session)
        assert session.execute(text("SELECT state, owner, attempt FROM work")).one() == ("queued", None, 1)


def test_nobody_claims_while_a_store_is_swept(database, plant):
    run_id = plant.plan(1)
    with database.unit_of_work() as session:
        hold_work(session)
        with pytest.raises(Exception, match="lock timeout"), database.unit_of_work() as other:
            other.connection().exec_driver_sql("SET LOCAL lock_timeout = 100")
            claim(other, run_id, "w", 1, 60)


def test_nobody_holds_the_work_from_when_a_plan_stores_its_inputs_until_it_is_there(database, plant):
    run = NewRun(new_run_id(), "study", {}, "sha256:" + "0" * 64)
    called = []

    def store_inputs():
        called.append(True)
        with pytest.raises(Exception, match="lock timeout"), database.unit_of_work() as other:
            other.connection().exec_driver_sql("SET LOCAL lock_timeout = 100")
            hold_work(other)

    plan_run(database, run, [plant.recipe(1)], store_inputs)
    plan_run(database, NewRun(new_run_id(), "study", {}, "sha256:" + "0" * 64), [plant.recipe(1)], store_inputs)
    assert len(called) == 2, "also when every row of work is there already"
