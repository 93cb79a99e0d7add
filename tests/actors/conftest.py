"""A real PostgreSQL for the tests of workers: one server, a new database for every test."""

import itertools
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from actors.worker import PullWorker, WorkerOptions, new_owner
from db.database import connect
from db.model_versions import NewModelVersion, register_version
from db.objects import open_objects
from db.planning import PlannedRecipe, plan_run
from db.postgres import EmbeddedPostgres
from db.runs import NewRun, new_run_id
from flows.recipe import ModelIdentity, RecipeWriter

SUPPORT = Path(__file__).parent.parent / "integration" / "support"
sys.path.insert(0, str(SUPPORT))

MODEL = ModelIdentity("tiny", "sha256:" + "7" * 64, "score")
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server():
    home = Path(tempfile.mkdtemp(prefix="tutti-actors-", dir="/tmp"))
    home.chmod(0o755)  # as root the server runs under another account
    postgres = EmbeddedPostgres(home)
    postgres.up()
    yield postgres
    postgres.down()
    shutil.rmtree(home)


@pytest.fixture
def database(server):
    name = f"t{next(_numbers)}"
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database = connect(server.url(name))
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def objects(tmp_path):
    return open_objects(tmp_path / "objects")


@pytest.fixture
def plan(database):
    """Plan a run of prompts and return its id."""

    def plan(prompts, seed=1):
        with database.unit_of_work() as session:
            register_version(session, NewModelVersion(MODEL.digest, MODEL.name, MODEL.kind, {}, {}))
        writer = RecipeWriter(MODEL, duration_s=4.0, controls={})
        recipes = [writer.write(prompt, seed) for prompt in prompts]
        run_id = new_run_id()
        planned = (
            PlannedRecipe(r.id, MODEL.kind, MODEL.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes
        )
        plan_run(database, NewRun(run_id, "shelf", {}, "sha256:00"), planned)
        return run_id

    return plan


@pytest.fixture
def worker(database, objects):
    """Make a bare worker around a generator."""

    def worker(run_id, generator, **options):
        settings = {"lease_s": 3.0, "patience_s": 5.0, "poll_s": 0.05} | options
        factory = generator if callable(generator) else lambda: generator
        return PullWorker(WorkerOptions(run_id=run_id, **settings), database, objects, factory, new_owner())

    return worker
