"""From errors to exit codes and one line each: 2, the input is wrong; 3, a service is missing or failed.

What nobody foresaw is not hidden: its traceback goes to a file, its name to the user, and the exit code is 70.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import typer

from flows.cli.output import note
from flows.errors import FlowError, InterruptedRunError, OrderError, SettingsError

DONE: Final = 0
SET_ASIDE: Final = 1
WRONG_INPUT: Final = 2
SERVICE_FAILED: Final = 3
UNFORESEEN: Final = 70  # EX_SOFTWARE


class InputError(FlowError):
    """Something given on the command line cannot be used."""


@contextmanager
def errors_told(run_id: str | None = None) -> Iterator[None]:
    """Turn the errors of the block into a line on standard error and an exit code.

    Args:
        run_id: of a run that is planned, and can be resumed should the block be interrupted.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except (typer.Exit, typer.BadParameter):
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it at the end
        raise typer.Exit(DONE) from None
    except KeyboardInterrupt:
        raise typer.Exit(_stopped(signal.SIGINT, run_id)) from None
    except InterruptedRunError as error:
        raise typer.Exit(_stopped(error.signal_number, error.run_id or run_id)) from None
    except Exception as error:
        code = exit_code(error)
        _say(f"tutti: {_line(error)}" if code != UNFORESEEN else _unforeseen(error))
        raise typer.Exit(code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(error: Exception) -> int:
    """Return what an error means to the caller of the command."""
    from actors.errors import ActorError
    from db.errors import (
        DatabaseUrlError,
        ListenerExistsError,
        ObjectsAddressError,
        StorageError,
        UnknownAssetError,
        UnknownCatalogueError,
        UnknownListenerError,
        UnknownPlaylistError,
        UnknownRunError,
    )
    from flows.errors import FlowError, KeysError

    if isinstance(error, OrderError | SettingsError | InputError | KeysError):
        return WRONG_INPUT
    if isinstance(error, UnknownAssetError | UnknownCatalogueError | UnknownRunError):
        return WRONG_INPUT
    if isinstance(error, DatabaseUrlError | ObjectsAddressError):
        return WRONG_INPUT
    if isinstance(error, ListenerExistsError | UnknownListenerError | UnknownPlaylistError):
        return WRONG_INPUT
    if isinstance(error, StorageError | FlowError | ActorError):
        return SERVICE_FAILED
    if weights := sys.modules.get("models.weights"):  # imported wherever its errors can come from
        if isinstance(error, weights.UnknownModelError):
            return WRONG_INPUT
        if isinstance(error, weights.ModelError):
            return SERVICE_FAILED
    if type(error).__module__.partition(".")[0] in ("httpx", "httpcore", "prefect"):
        return SERVICE_FAILED
    return UNFORESEEN


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise InterruptedRunError(number, None)


def _stopped(number: int, run_id: str | None) -> int:
    with suppress(OSError):  # after a hang-up there may be nobody to tell
        note(f"stopped; go on with: tutti resume {run_id}" if run_id else "stopped; say it again")
    return 128 + number


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _say(line: str) -> None:
    with suppress(OSError):
        note(line)


def _unforeseen(error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    name = f"tutti-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    for folder in _log_folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
            return (
                f"tutti: this is a fault of Tutti's: {type(error).__name__}: {_line(error)}; "
                f"please report it with {folder / name}"
            )
    return text


def _log_folders() -> list[Path]:
    from flows.settings import load_settings

    folders = [Path(tempfile.gettempdir())]
    with suppress(SettingsError):
        folders.insert(0, load_settings().home / "logs")
    return folders
