"""An installation of Tutti as a user has it: a home, its services, and the command as a process of its own."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import psycopg
import torch

from db.postgres import EmbeddedPostgres
from models.weights import write_version

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[2]
TINY_CARD = "---\nname: tiny\ncreated: 2026-01-01\n---\nA model of these tests: it has no weights to speak of.\n"


class Installation:
    """One home and the commands run on it. `model` is what orders name."""

    def __init__(self, home, model="tiny", **environment):
        self.home, self.model = home, model
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TUTTI_", "PREFECT_", "RAY_"))}
        self.environment = kept | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]),
            "TUTTI_HOME": str(home),
            "TUTTI_LEASE_S": "5",
            "TUTTI_WORKERS": "2",
            "TUTTI_DEVICE": "cpu",  # workers of the tests' own generator then need no torch to find out
            "COLUMNS": "200",
        }
        if model == "tiny":
            write_version(home / "models" / "tiny", {"w": torch.zeros(1)}, _tiny_config(), TINY_CARD)
            self.environment |= {"TUTTI_GENERATOR": "tiny_generator:load", "TUTTI_SLOTS": "4"}
        self.environment |= environment
        self.postgres = EmbeddedPostgres(home)
        self._started = []

    def command(self, *arguments):
        return [sys.executable, "-m", "flows.cli", *map(str, arguments)]

    def run(self, *arguments, timeout=240, cwd=None, **environment):
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
        )

    def json(self, *arguments, code=0, **environment):
        """Run a command with --json, see that it ends with this code, and return its answer."""
        done = self.run(*arguments, "--json", **environment)
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") == 1, f"not one JSON object and nothing else: {done.stdout}"
        return json.loads(done.stdout)

    def start(self, *arguments, **environment):
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def order(self, text, name="order.yaml"):
        path = self.home / "orders" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def query(self, statement, *parameters):
        """Ask the embedded database, waiting for it to come up."""
        until = time.monotonic() + 240
        while True:
            try:
                with psycopg.connect(self.postgres.url().replace("+psycopg", "")) as connection:
                    return connection.execute(statement, parameters).fetchall()
            except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def runs(self):
        return {run for (run,) in self.query("SELECT id FROM runs")}

    def new_run(self, before=frozenset()):
        """Return the run that was not there before, once it is there."""
        return wait_for(lambda: self.runs() - before).pop()

    def wait_for_assets(self, number):
        wait_for(lambda: self.query("SELECT count(*) FROM assets")[0][0] >= number)

    def assets(self):
        return dict(self.query("SELECT id, digest FROM assets"))

    def prefect_states(self, flow):
        """Return the states that the runs of a flow have in Prefect's records."""
        port = json.loads((self.home / "prefect" / "server.json").read_text())["port"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/flow_runs/filter",
            data=json.dumps({"flows": {"name": {"any_": [flow]}}}).encode(),
            headers={"content-type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return {found["state_type"] for found in json.load(answer)}

    def stop(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.run("down")


def _tiny_config():
    return {"name": "tiny", "kind": "score", "architecture": "tiny"}


def runs(process):
    """Whether a process still does anything; where nobody takes its exit code, its number outlives it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(found, within_s=240.0):
    """Return what `found` returns once it is true."""
    until = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)
    return value


def ray_processes(of=None):
    """Return the processes of Ray, those below a driver or all whose command line is Ray's."""
    found = psutil.Process(of).children(recursive=True) if of else psutil.process_iter()
    kept = []
    for process in found:
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if line.startswith("ray::") or "/ray/core/src/ray/" in line or "/ray/_private/" in line:
            kept.append(process)
    return kept
