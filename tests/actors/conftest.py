"""Runs to work off, and bare workers to do so, on a real database and real files."""

import sys
from pathlib import Path

import pytest
from services import Databases, embedded_postgres

from actors.worker import PullWorker, WorkerOptions, new_owner
from db.database import connect
from db.model_versions import NewModelVersion, register_version
from db.objects import open_objects
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, new_run_id
from flows.recipe import ModelIdentity, RecipeWriter

SUPPORT = Path(__file__).parent.parent / "integration" / "support"
sys.path.insert(0, str(SUPPORT))

MODEL = ModelIdentity("tiny", "sha256:" + "7" * 64, "score")


@pytest.fixture
def mortal_server():
    """An embedded server that a test may kill."""
    with embedded_postgres() as postgres:
        yield postgres


@pytest.fixture
def mortal_database(mortal_server):
    database = connect(Databases(mortal_server.url()).migrated())
    yield database
    database.close()


@pytest.fixture
def objects(tmp_path):
    return open_objects(tmp_path / "objects")


@pytest.fixture
def plan(database):
    """Plan a run of prompts and return its id."""

    def plan(prompts, seed=1, database=database, run_id=None, **controls):
        with database.unit_of_work() as session:
            register_version(session, NewModelVersion(MODEL.digest, MODEL.name, MODEL.kind, {}, {}))
        writer = RecipeWriter(MODEL, duration_s=4.0, controls=controls)
        recipes = [writer.write(prompt, seed) for prompt in prompts]
        run_id = run_id or new_run_id()
        planned = (
            PlannedRecipe(r.id, MODEL.kind, MODEL.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes
        )
        plan_run(database, NewRun(run_id, "shelf", {}, "sha256:00"), planned)
        return run_id

    return plan


@pytest.fixture
def worker(database, objects):
    """Make a bare worker around a generator."""

    def worker(run_id, generator, database=database, objects=objects, **options):
        settings = {"lease_s": 3.0, "patience_s": 5.0, "poll_s": 0.05} | options
        factory = generator if callable(generator) else lambda: generator
        return PullWorker(WorkerOptions(run_id=run_id, **settings), database, objects, factory, new_owner())

    return worker
