"""The embedded services: shared, left running, adopted or replaced."""

import json
import os
import signal

import psutil
import pytest
from installation import runs, wait_for

from db.postgres import EmbeddedPostgres
from flows.prefect_server import PrefectServer, answers


@pytest.fixture
def server(tutti):
    tutti.json("up")
    return PrefectServer(tutti.home, tutti.postgres.url("prefect", "asyncpg"))


def process_of(tutti):
    return psutil.Process(json.loads((tutti.home / "prefect" / "server.json").read_text())["pid"])


def test_up_may_be_said_often_and_by_several_at_once(tutti):
    first = tutti.json("up")
    pids = process_of(tutti).pid, tutti.postgres.status().pid
    several = [tutti.start("up", "--json") for _ in range(3)]
    assert all(json.loads(process.communicate(timeout=120)[0]) == first for process in several)
    assert (process_of(tutti).pid, tutti.postgres.status().pid) == pids


def test_what_the_environment_says_of_another_postgresql_misleads_none_of_them(tutti):
    tutti.json("down")
    said = {"PGPORT": "6543", "PGHOSTADDR": "127.0.0.1", "PGSSLMODE": "verify-full", "PGSERVICE": "not-there"}
    up = tutti.json("up", **said)
    tutti.json("list", **said)
    assert tutti.json("up") == up


def test_services_outlive_the_command_and_its_terminal(tutti):
    tutti.json("up")
    process = process_of(tutti)
    assert os.getsid(process.pid) == process.pid  # a session of its own: no terminal hangs it up
    assert EmbeddedPostgres(tutti.home).status().state == "running"


def test_a_prefect_server_that_was_killed_is_started_again_at_its_address(tutti, server):
    before = server.up()
    process_of(tutti).kill()
    wait_for(lambda: server.status()[0] == "stopped")
    assert server.up() == before
    assert answers(before)


def test_a_process_that_got_the_number_of_a_dead_server_is_not_taken_for_it(tutti, server):
    server.down()
    state = tutti.home / "prefect" / "server.json"
    mine = psutil.Process()
    state.write_text(json.dumps({"pid": mine.pid, "started_at": mine.create_time() - 100, "port": 1}))
    assert server.status()[0] == "stopped"
    server.down()  # ends nobody
    assert mine.is_running()
    assert answers(server.up())


def test_a_half_dead_prefect_server_is_replaced(tutti, server, monkeypatch):
    monkeypatch.setattr("flows.prefect_server._ANSWER_WITHIN_S", 0.5)
    server.down()
    url = server.up()
    old = process_of(tutti)
    state = tutti.home / "prefect" / "server.json"
    os.kill(old.pid, signal.SIGSTOP)
    assert server.status()[0] == "silent"
    monkeypatch.setattr("flows.prefect_server._YOUNG_S", 0.0)
    monkeypatch.setattr("flows.prefect_server._STUCK_AFTER_S", 0.0)
    monkeypatch.setattr("flows.prefect_server._STOP_WITHIN_S", 1.0)
    assert server.up() == url
    assert json.loads(state.read_text())["pid"] != old.pid


def test_down_stops_everything_and_may_be_said_often(new_installation):
    tutti = new_installation()
    tutti.json("up")
    process, postgres = process_of(tutti), psutil.Process(tutti.postgres.status().pid)
    first, second = tutti.json("down"), tutti.json("down")
    assert (first["stopped"], first["was_running"]) == (True, True)
    assert (second["stopped"], second["was_running"]) == (True, False)
    assert not runs(process) and not runs(postgres)
    checks = {check["name"]: check for check in tutti.json("doctor")["checks"]}
    assert all(check["ok"] for check in checks.values())
    assert "stopped" in checks["database"]["detail"] and "stopped" in checks["prefect"]["detail"]
    assert tutti.postgres.status().state == "stopped"  # the doctor started nothing
