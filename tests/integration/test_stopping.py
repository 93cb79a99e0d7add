"""Asking a command to stop, closing its terminal, and running two at once."""

import re
import signal
from pathlib import Path

import pytest
from installation import ray_processes, runs, wait_for

ORDER = "catalogue: {name}\nmodel: tiny\nseed: {seed}\ntracks: [{{prompt: endless, count: 40}}]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_command_asked_to_stop_says_how_to_go_on(tutti, number):
    order = tutti.order(ORDER.format(name="stopped", seed=int(number)))
    tutti.json("up")
    before = tutti.runs()
    process = tutti.start("generate", order, TINY_STEP_S="0.3")
    run = tutti.new_run(before)
    tutti.wait_for_assets(len(tutti.assets()) + 4)
    below = ray_processes(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert errors.strip() == f"stopped; go on with: tutti resume {run}"
    assert below and not any(runs(each) for each in below)
    assert tutti.query("SELECT count(*) FROM work WHERE state = 'claimed'") == [(0,)]
    assert tutti.query("SELECT max(attempt) FROM work WHERE state = 'queued'") == [(0,)]  # given back unharmed
    stopped = tutti.json("runs", run)
    assert stopped["state"] == "stopped" and stopped["wall_s"] > 1
    shelf = tutti.home / "catalogues" / "stopped"
    assets = tutti.json("list", "--run", run)["assets"]
    assert len(assets) == stopped["done"] >= 4
    assert all(shelf in Path(asset["path"]).parents for asset in assets)

    resumed = tutti.json("resume", run)
    assert (resumed["planned"], resumed["failed"], len(resumed["assets"])) == (40, 0, 40)
    assert resumed["made"] + resumed["reused"] == 40 and 4 <= resumed["reused"] < 40
    again = tutti.json("resume", run)
    assert (again["made"], again["reused"], len(again["assets"])) == (0, 40, 40)


def test_a_command_asked_to_stop_before_its_run_is_planned_names_no_run(tutti):
    order = tutti.order("catalogue: never\nmodel: tiny\ntracks: [{prompt: endless, count: 3000000}]\n")
    tutti.json("up")
    before = tutti.runs()
    process = tutti.start("generate", order)
    planning = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%planned%%'"
    wait_for(lambda: tutti.query(planning) != [(0,)])
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.strip()) == (128 + signal.SIGTERM, "stopped; say it again")
    assert tutti.runs() == before


def test_a_run_whose_command_was_killed_is_interrupted_and_not_running(tutti):
    order = tutti.order(ORDER.format(name="killed", seed=90))
    tutti.json("up")
    before = tutti.runs()
    process = tutti.start("generate", order, TINY_STEP_S="2")
    run = tutti.new_run(before)
    tutti.wait_for_assets(len(tutti.assets()) + 1)
    assert tutti.json("runs", run)["state"] == "running"
    process.kill()
    process.wait()
    wait_for(lambda: tutti.json("runs", run)["state"] == "interrupted", within_s=60)
    cancelled = tutti.json("cancel", run)
    assert cancelled["state"] == "cancelled" and cancelled["wall_s"] > 1


def test_two_commands_on_one_order_share_the_work(tutti):
    order = tutti.order(ORDER.format(name="shared", seed=100))
    processes = [tutti.start("generate", order, "--json", TINY_STEP_S="0.1") for _ in range(2)]
    answers = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    import json

    first, second = (json.loads(out) for out, _ in answers)
    assert first["assets"] == second["assets"] and len(first["assets"]) == 40
    attempts = tutti.query(
        "SELECT max(attempt) FROM work JOIN run_items USING (recipe_id) WHERE run_id = %s", first["run"]
    )
    assert attempts == [(1,)]


def test_two_commands_on_different_orders_do_not_disturb_each_other(tutti):
    orders = [tutti.order(ORDER.format(name=f"own{seed}", seed=seed), f"own{seed}.yaml") for seed in (200, 300)]
    processes = [tutti.start("generate", order, "--json", TINY_STEP_S="0.05") for order in orders]
    answers = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert all(re.search(r'"made": 40', out) for out, _ in answers)
