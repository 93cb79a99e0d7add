"""What runs by the clock, as a command that is started and stopped."""

import json
import os
import signal
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime

import psutil
import pytest
import tiny_musiclm
from installation import runs, wait_for

from flows.playlists.nights import present_date

ZONES = {"ann": "Pacific/Kiritimati", "ben": "Pacific/Pago_Pago"}  # whose dates are never the same


@pytest.fixture
def tutti(new_installation):
    made = new_installation("musiclm-tiny", TUTTI_TASTE_MODEL="musiclm-tiny", TUTTI_NIGHT_BUDGET_S="0")
    tiny_musiclm.version(made.home / "models" / "musiclm-tiny", takes=1)
    return made


def ask_prefect(tutti, path, **body):
    port = json.loads((tutti.home / "prefect" / "server.json").read_text())["port"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def states(tutti):
    return {each["state_type"] for each in ask_prefect(tutti, "flow_runs/filter")}


def deployments(tutti):
    with suppress(OSError):  # it is starting
        found = ask_prefect(tutti, "deployments/filter")
        return {each["entrypoint"]: each for each in found} if len(found) == 2 else None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nights_come_by_the_clock_even_if_the_database_was_killed_and_a_stop_leaves_nothing_running(tutti):
    for name, zone in ZONES.items():
        tutti.json("listeners", "add", name, "--consent", "--time-zone", zone)
    process = tutti.start("serve", "--playlists-at", "* * * * *")
    served = wait_for(lambda: deployments(tutti))
    crons = {name: [each["schedule"]["cron"] for each in found["schedules"]] for name, found in served.items()}
    assert crons == {
        "flows.playlists.nightly.nightly_playlists": ["* * * * *"],
        "flows.nightly_audit.nightly_audit": ["30 2 * * *"],
    }
    assert all(not found["paused"] for found in served.values())
    os.kill(tutti.postgres.status().pid, signal.SIGKILL)  # which holds what Prefect knows as well
    began = datetime.now(UTC)
    wait_for(lambda: tutti.query("SELECT count(*) FROM playlists") == [(2,)], within_s=400)
    for name, on in tutti.query("SELECT listener, date FROM playlists"):
        assert on in {present_date(ZONES[name], at, 4) for at in (began, datetime.now(UTC))}
    wait_for(lambda: "COMPLETED" in states(tutti))

    below = [
        each
        for each in psutil.Process(process.pid).children(recursive=True)
        if not {"uvicorn", "postgres:"} & set(each.cmdline()) and each.name() != "postgres"  # which outlive a command
    ]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert errors.strip().endswith("stopped; what was not done is done when it serves again")
    assert not any(runs(each) for each in below)
    assert not states(tutti) & {"FAILED", "CRASHED", "RUNNING"}
