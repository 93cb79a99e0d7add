"""Looking at every part without changing it: what `tutti doctor` says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from db.database import connect
from db.errors import StorageError
from flows.errors import FlowError
from flows.services import Services, check_folder

_LITTLE_DISK_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One part: whether it can be used, and what there is to say of it."""

    name: str
    ok: bool
    detail: str


def examine(services: Services) -> list[Check]:
    """Look at every part. Embedded parts that are stopped are well: a command starts them as needed."""
    return [
        _look(name, look, services)
        for name, look in (
            ("home", _home),
            ("database", _database),
            ("objects", _objects),
            ("prefect", _prefect),
            ("models", _models),
            ("ray", _ray),
        )
    ]


def _look(name: str, look: Callable[[Services], str], services: Services) -> Check:
    from models.weights import ModelError

    try:
        return Check(name, True, look(services))
    except (StorageError, FlowError, ModelError, OSError) as error:
        return Check(name, False, " ".join(str(error).split()))


def _home(services: Services) -> str:
    home = services.settings.home
    check_folder("TUTTI_HOME", home)
    nearest = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if free < _LITTLE_DISK_BYTES:
        raise FlowError(f"{home}: only {free / 1024**3:.1f} GB free")
    return f"{home}, {free / 1024**3:.0f} GB free"


def _database(services: Services) -> str:
    if services.settings.database_url is None:
        status = services.postgres.status()
        if status.state != "running":
            return f"embedded PostgreSQL, {status.state}"
        url = services.postgres.url()
        where = f"embedded PostgreSQL {status.version}, process {status.pid}"
    else:
        url = services.settings.database_url.get_secret_value()
        where = "PostgreSQL at TUTTI_DATABASE_URL"
    database = connect(url)
    database.close()
    return f"{where}, answers"


def _objects(services: Services) -> str:
    if services.has_shelves and services.is_fresh:
        return f"{services.settings.objects_at}, not made yet"
    services.objects().check()
    return services.settings.objects_at


def _prefect(services: Services) -> str:
    if services.prefect_given:
        return f"{services.prefect_up()}, answers"
    state, url = services.prefect.status()
    return f"local server, {state}" + (f" at {url}" if url else "")


def _models(services: Services) -> str:
    from models.registry import list_versions

    versions = list_versions([services.settings.model_folder])
    if not versions:
        raise FlowError(f"no model versions, neither shipped nor in {services.settings.model_folder}")
    return ", ".join(f"{version.name}@{version.digest[:19]}" for version in versions)


def _ray(services: Services) -> str:
    import importlib.metadata

    version = importlib.metadata.version("ray")
    if services.settings.ray_address:
        return f"{version}, cluster at {services.settings.ray_address} (not looked at)"
    return f"{version}, started for each command, {services.settings.workers} workers"
