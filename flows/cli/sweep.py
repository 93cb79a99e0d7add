"""`tutti sweep`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.errors import errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, counted


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(sweep)


def sweep(
    remove: Annotated[bool, typer.Option("--remove", help="Remove them; otherwise they are only counted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count the stored objects that nothing names, as a killed worker leaves them, or remove them.

    Nothing may be made meanwhile. An object that is an asset's file, or what an asset was made from, stays.
    """
    with errors_told():
        from flows.cli.backend import opened
        from flows.sweeping import Swept
        from flows.sweeping import sweep as run

        with opened() as found:
            swept = Swept(0, 0, 0, remove) if found is None else run(found[1], remove=remove)
        if as_json:
            answer_json(asdict(swept))
            return
        done = "removed" if swept.removed else "found; to remove them: tutti sweep --remove"
        every = counted(swept.objects, "object")
        answer(f"{every}; {swept.unnamed} that nothing names ({swept.unnamed_bytes} bytes) {done}")
