"""The pool of workers on a real Ray: what dies is started anew, what kills its worker is found out."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from tiny_generator import DeadlyToWorkers, TinyGenerator

from actors.actor import WorkerSpec
from actors.cluster import ClusterSpec, ray_cluster
from actors.errors import BrokenGeneratorError, ClusterError, WorkersFailedError
from actors.pool import PoolSpec, WorkerPool
from actors.worker import WorkerOptions
from db.assets import AssetFilter, list_assets
from db.work import list_set_aside, progress, release_owner

ROOT = Path(__file__).parents[2]
IMPORTED_FROM = [ROOT, ROOT / "tests" / "integration" / "support"]


@pytest.fixture(scope="module")
def ray():
    """A local Ray whose workers can import the tests' generator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, IMPORTED_FROM)))
        with ray_cluster(ClusterSpec(address=None, cpus=2)) as logs:
            yield logs


def test_a_local_ray_starts_only_what_a_command_needs(ray):
    lines = [" ".join(process.cmdline()) for process in psutil.Process().children()]
    assert any("gcs_server" in line for line in lines) and any("raylet" in line for line in lines)
    assert not any(name in line for line in lines for name in ("dashboard.py", "monitor.py"))


@pytest.fixture
def pool(ray, database, database_url, tmp_path):
    def pool(run_id, factory, workers=2, lease_s=3.0, **limits):
        spec = WorkerSpec(
            options=WorkerOptions(run_id=run_id, lease_s=lease_s, patience_s=20, poll_s=0.05),
            database_url=database_url,
            objects=str(tmp_path / "objects"),
            s3=None,
            factory=factory,
        )
        limits = {"workers": workers, "threads": 1, "gpus_per_worker": 0, "told_threads": True, "logs": ray} | limits
        return WorkerPool(PoolSpec(**limits), spec)

    return pool


def look(database, run_id, pool):
    with database.unit_of_work() as session:
        for owner in pool.take_dead_owners():
            release_owner(session, owner)
        return progress(session, run_id)


def watch(database, run_id, pool, during=lambda now: None):
    while not pool.wait(0.2):
        now = look(database, run_id, pool)
        during(now)
        pool.see_to_progress(now.done + now.failed)


def test_two_workers_make_a_run_each_with_its_threads(plan, pool, database):
    run_id = plan([f"prompt {i}" for i in range(40)])
    with pool(run_id, partial(TinyGenerator, 4, 0.02)) as workers:
        watch(database, run_id, workers)
        assert sum(report.made for report in workers.reports) == 40
        assert len({report.owner for report in workers.reports}) == 2


def test_a_worker_that_is_killed_starts_anew_and_nothing_is_lost(plan, pool, database):
    run_id = plan([f"prompt {i}" for i in range(60)])
    killed = []

    def kill(now):
        if now.done >= 15 and not killed and workers.pids:
            killed.append(workers.pids[0])
            os.kill(killed[0], signal.SIGKILL)

    with pool(run_id, partial(TinyGenerator, 4, 0.1)) as workers:
        watch(database, run_id, workers, kill)
        assert killed and killed[0] not in workers.pids
    with database.unit_of_work() as session:
        assert len(list_assets(session, AssetFilter(run_id=run_id, limit=None))) == 60


def test_a_prompt_that_kills_its_worker_is_set_aside_and_the_rest_is_made(plan, pool, database):
    run_id = plan([*"abcdefgh", "kill", *"ijklmnop"])
    with pool(run_id, partial(TinyGenerator, 4, 0.02), workers=1) as workers:
        watch(database, run_id, workers)
    with database.unit_of_work() as session:
        assert [item.prompt for item in list_set_aside(session, run_id)] == ["kill"]
        assert progress(session, run_id).done == 16


def test_workers_that_only_die_end_the_run_with_an_error(plan, pool, database, monkeypatch):
    monkeypatch.setattr("actors.pool._DEATHS_WITHOUT_PROGRESS", 2)
    run_id = plan([f"kill {i}" for i in range(40)])
    with pool(run_id, partial(TinyGenerator, 40, 0.02), workers=1) as workers, pytest.raises(WorkersFailedError):
        began = time.monotonic()
        while time.monotonic() - began < 240:
            workers.wait(0.2)
            look(database, run_id, workers)
            workers.see_to_progress(0)


def test_workers_that_die_at_their_start_are_given_up_and_the_cause_is_named(plan, pool, database, capfd):
    run_id = plan(["a", "b"])
    with pool(run_id, DeadlyToWorkers()) as workers:
        watch(database, run_id, workers)
        assert {type(error) for error in workers.errors} == {WorkersFailedError}
        assert len(workers.errors) == 2
        assert str(workers.errors[0]) == (
            "a worker died 3 times while it started: Worker exits with an exit code 7. It wrote last: no such library"
        )
    assert "raylet" not in "".join(capfd.readouterr())


def test_the_error_of_a_worker_that_cannot_go_on_is_told(plan, pool, database):
    run_id = plan([f"explode {i}" for i in range(30)])
    with pool(run_id, partial(TinyGenerator, 2, 0.0), workers=1) as workers:
        watch(database, run_id, workers)
        assert isinstance(workers.errors[0], BrokenGeneratorError)


def test_a_cluster_without_room_is_an_error(plan, pool, database):
    run_id = plan(["a"])
    full = pool(run_id, TinyGenerator, start_within_s=1.0)
    full._spec = PoolSpec(workers=1, threads=64, gpus_per_worker=0, start_within_s=1.0)
    with full as workers:
        workers.wait(1.5)
        with pytest.raises(ClusterError, match="no room for one with 64 processors"):
            workers.see_to_start(1.5)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_no_ray_is_is_an_error(address):
    with pytest.raises(ClusterError, match="no Ray at"), ray_cluster(ClusterSpec(address=address, cpus=1)):
        pass
