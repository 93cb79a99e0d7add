"""Killing any part in the middle of a run loses nothing, makes nothing twice and leaves no half of anything."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from installation import ray_processes, wait_for

ITEMS = 60
ORDER = """
catalogue: sixty
model: {model}
duration_s: 4
tracks:
  - prompt: "{{mood}} {{who}}"
    matrix:
      mood: [slow melancholic, bright dancing, calm, solemn, restless]
      who: [solo piano, violin and cello, flute and harp, string quartet]
    count: 3
"""


def stage_actors(driver):
    return [p for p in ray_processes(driver) if "ray::" in p.cmdline()[0] and "WorkerActor" in p.cmdline()[0]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_survives_the_death_of_an_actor_of_postgres_and_of_the_driver(new_installation, shipped_model):
    text = ORDER.format(model=shipped_model)
    slow = {"TINY_STEP_S": "0.3"}
    calm = new_installation(shipped_model)
    expected = calm.json("generate", calm.order(text))
    assert (expected["planned"], expected["made"], expected["failed"]) == (ITEMS, ITEMS, 0)
    calm.stop()

    tutti = new_installation(shipped_model)
    process = tutti.start("generate", tutti.order(text), "--json", **slow)
    run = tutti.new_run()
    tutti.wait_for_assets(5)
    actor = wait_for(lambda: stage_actors(process.pid))[0]
    actor.kill()
    tutti.wait_for_assets(15)
    os.kill(tutti.postgres.status().pid, signal.SIGKILL)
    tutti.wait_for_assets(30)  # the driver brought the database up again
    below = ray_processes(process.pid)
    assert below
    process.kill()
    process.wait()
    assert len(tutti.assets()) < ITEMS
    started = tutti.query("SELECT id FROM runs")
    assert started == [(run,)]

    resumed = tutti.json("resume", run)
    assert (resumed["planned"], resumed["failed"]) == (ITEMS, 0)
    digests = {asset["id"]: asset["digest"] for asset in resumed["assets"]}
    assert digests == {asset["id"]: asset["digest"] for asset in expected["assets"]}
    assert tutti.assets() == digests
    assert tutti.query("SELECT count(*), count(DISTINCT asset_id || role) FROM asset_files") == [
        (n := sum(len(list(Path(a["path"]).parent.iterdir())) for a in resumed["assets"]), n)
    ]
    for asset in tutti.json("list", "--run", run, "--limit", "0")["assets"][:5]:
        for file in tutti.json("show", asset["id"])["files"]:
            assert Path(file["object"]).stat().st_size == file["bytes"]
    for (digest,) in tutti.query("SELECT DISTINCT digest FROM asset_files"):
        sha = digest.removeprefix("sha256:")
        assert list((tutti.home / "objects").rglob(f"*{sha[2:]}*")), f"{digest} has no object"
    _, alive = psutil.wait_procs(below, timeout=120)
    assert not alive, "a killed driver leaves no Ray"
    assert tutti.prefect_states("generate-catalogue") == {"CRASHED"}
