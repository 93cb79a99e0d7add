"""Fixtures of the storage layer's tests."""

import hashlib
import json
from datetime import UTC, datetime

import psycopg
import pytest
from services import embedded_postgres

from db.assets import AssetFile, Maker, NewAsset, Parent, StageExecution
from db.model_versions import NewModelVersion, register_version
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, new_run_id

MODEL = NewModelVersion("sha256:" + "a" * 64, "score-small", "score", {"layers": 2}, {"licence": "CC0"})


class Plant:
    """Plans runs of numbered recipes on a database and makes what a worker would have made of them."""

    def __init__(self, database):
        self.database = database
        with database.unit_of_work() as session:
            register_version(session, MODEL)

    def recipe(self, number, prompt=None, **more):
        prompt = prompt or f"slow solo piano, number {number}"
        body = json.dumps({"prompt": prompt, "seed": number, **more}, separators=(",", ":"), sort_keys=True)
        identity = hashlib.sha256(body.encode()).hexdigest()
        return PlannedRecipe(identity, "score", MODEL.digest, prompt, number, 20.0, body)

    def ids(self, *numbers):
        return [self.recipe(number).id for number in numbers]

    def plan(self, *numbers, catalogue="study"):
        """Plan a run of these recipes; return its id."""
        return self.plan_counted(*numbers, catalogue=catalogue)[0]

    def plan_counted(self, *numbers, catalogue="study"):
        run = NewRun(new_run_id(), catalogue, {"catalogue": catalogue}, "sha256:" + "0" * 64)
        return run.id, plan_run(self.database, run, map(self.recipe, numbers))

    def finished(self, claim, **changes):
        """Return the asset a worker would record for a claim."""
        digest = "sha256:" + hashlib.sha256(claim.recipe_id.encode()).hexdigest()
        values = {
            "recipe_id": claim.recipe_id,
            "attempt": claim.attempt,
            "digest": digest,
            "duration_s": 19.5,
            "attributes": {"key": "D minor", "instruments": ["piano"]},
            "files": (
                AssetFile("codes", "codes.bin", digest, "application/octet-stream", 64),
                AssetFile("midi", "score.mid", digest, "audio/midi", 128),
            ),
            "stages": (
                StageExecution("write", digest, digest, datetime.now(UTC), 1.5, {"steps": 400}),
                StageExecution("engrave", digest, digest, datetime.now(UTC), 0.5, {}),
            ),
            "parents": (),
        }
        return NewAsset(**values | changes)

    def maker(self, owner):
        return Maker(owner, "0.1.0", {"device": "cpu", "dtype": "float32"})


@pytest.fixture
def plant(database):
    return Plant(database)


@pytest.fixture
def vocals():
    return Parent("sha256:" + "b" * 64, "vocals")


@pytest.fixture(scope="session")
def own_postgres():
    """An embedded server that tests may break, whatever the environment names."""
    with embedded_postgres() as postgres:
        yield postgres


@pytest.fixture
def password_server(own_postgres, tmp_path):
    """Addresses with a right and a wrong password, of a server that asks for one."""
    folder = own_postgres.status().data
    rules = folder / "pg_hba.conf"
    before = rules.read_text()
    admin = psycopg.connect(own_postgres.url("postgres").replace("+psycopg", ""), autocommit=True)
    admin.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
    rules.write_text("local all guest scram-sha-256\n" + before)
    admin.execute("SELECT pg_reload_conf()")
    address = own_postgres.url()
    yield tuple(address.replace("tutti@", f"guest:{password}@") for password in ("right", "wrong"))
    rules.write_text(before)
    admin.execute("SELECT pg_reload_conf()")
    admin.execute("DROP ROLE guest")
    admin.close()
