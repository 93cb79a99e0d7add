"""Ray: a small local one for the length of a command, or a cluster that is there already.

Ray reads its environment while it is imported, so it is imported here, after the environment is set, and nowhere
at the head of a module.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actors.errors import ClusterError

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_HELPERS: Final = ("start_monitor", "start_log_monitor", "start_api_server")
_log = logging.getLogger(__name__)
_START_ATTEMPTS: Final = 3
_CONNECT_WITHIN_S: Final = 5.0
_OBJECT_STORE_BYTES: Final = 80 * 1024**2  # little more than Ray's least: no data goes through it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """`address` of a running cluster (host:port, ray://…, auto), or None for a local Ray with `cpus`.

    Every process of a local one is told to compute with so many `threads`.
    """

    address: str | None
    cpus: int
    threads: int = 1


@contextmanager
def ray_cluster(spec: ClusterSpec) -> Iterator[Path | None]:
    """Connect to Ray, or start it, for the length of the block; give the folder of a local one's logs.

    A local Ray asks every connection for a token made for this process (unless Ray was imported and so configured
    before): it listens on all interfaces, whatever it is told. Its processes end with ours, whatever ends ours: the
    kernel sees to that.

    Raises:
        ClusterError: the cluster cannot be reached, or Ray cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A worker that asks for no share of a GPU may still use one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if spec.address is None:
        os.environ.pop("RAY_ADDRESS", None)
        # Ray puts its workers far behind everything else (nice 15); here they do what the user waits for.
        os.environ.setdefault("RAY_worker_niceness", "0")
        if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    else:
        _see_that_somebody_listens(spec.address)
    import ray

    _without_messages()
    if spec.address is None:
        _without_helpers()
    with _computing_with(spec.threads if spec.address is None else None):
        context = _initialised(ray, spec)
    session = context.address_info.get("session_dir") if spec.address is None else None
    try:
        yield Path(session) / "logs" if session else None
    finally:
        ray.shutdown()
        if session:
            shutil.rmtree(Path(session), ignore_errors=True)


def _without_helpers() -> None:
    """Have a Ray of our own start no autoscaler, no forwarder of logs and no dashboard: half of its start.

    Ray has no setting for it when it is started from Python, so its methods are put aside where they are known.
    """
    from ray._private.node import Node

    for name in _HELPERS:
        if hasattr(Node, name):
            setattr(Node, name, lambda self, **options: None)  # noqa: ARG005


def _without_messages() -> None:
    """Have Ray print nothing of its own about each process that died: the pool tells it, and why.

    Ray has no setting for that either.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _computing_with(threads: int | None) -> Iterator[None]:
    """Have processes that are started in the block compute with so many threads, as far as libraries ask."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _initialised(ray: Any, spec: ClusterSpec) -> Any:
    """Return Ray's context; try again when its own processes were too slow.

    It gives them 30 s, which a machine that is busy or reads them from a cold disk may exceed the first time.
    """
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            return ray.init(**_arguments(spec), **_code(spec))
        except Exception as error:
            slow = type(error) is Exception and "timed out during startup" in str(error)
            if slow and attempts_left:
                _log.warning("Ray was slow to start; once more")
                ray.shutdown()
                continue
            if not slow and not isinstance(error, ConnectionError | RuntimeError | ValueError | OSError):
                raise
            line = " ".join(str(error).split())
            where = "Ray cannot be started" if spec.address is None else f"no Ray at {spec.address}"
            raise ClusterError(f"{where}: {line}") from error
    raise AssertionError("unreachable: the last attempt returns or raises")


def _see_that_somebody_listens(address: str) -> None:
    """Refuse an address where nobody is: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # such as "auto"
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no Ray at {address}: {error}") from error


def _arguments(spec: ClusterSpec) -> dict[str, Any]:
    shared: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "tutti"}
    if spec.address is not None:
        return shared | {"address": spec.address}
    return shared | {
        "address": "local",  # never a cluster that somebody else started on this machine
        "num_cpus": spec.cpus,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }


def _code(spec: ClusterSpec) -> dict[str, Any]:
    """Have workers import what is installed where they are, or named in PYTHONPATH, and nothing else.

    Ray has them look first in the folder where the user stands and in that of the script: a folder `models` there
    would go before ours. It does not for a client (ray://), and has no setting for it.
    """
    if spec.address is not None and spec.address.startswith("ray://"):
        return {}
    from ray.job_config import JobConfig

    class AsInstalled(JobConfig):
        def _serialize(self) -> str:
            self._py_driver_sys_path = []
            return super()._serialize()

    return {"job_config": AsInstalled()}
