"""What a process of ours has in its environment for Prefect and what Prefect starts."""

import os
import subprocess
import sys
from pathlib import Path

from flows.prefect_environment import prepare


def test_what_prefect_begins_with_python_m_imports_nothing_from_where_one_stands(monkeypatch, tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    monkeypatch.setattr(os, "environ", kept | {"PYTHONPATH": str(Path(__file__).parents[2])})
    prepare("http://127.0.0.1:1/api", tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise SystemExit('code of the user was run')\n")
    done = subprocess.run(
        [sys.executable, "-m", "flows.stopping"], cwd=tmp_path, env=os.environ, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
