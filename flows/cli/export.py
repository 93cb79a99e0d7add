"""`tutti export`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, counted


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(export)


def export(
    catalogue: Annotated[str, typer.Argument(metavar="CATALOGUE", help="Name of a catalogue.")],
    to: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.", show_default=False)],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="A kind of file: waveform, midi, pdf …, and its manifest; may be repeated. Else all."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the files of CATALOGUE to a folder, with a manifest as JSONL and CSV."""
    with errors_told():
        from rich.console import Console
        from rich.progress import track

        from db.assets import AssetFilter, list_assets
        from flows.cli.backend import opened_for
        from flows.export import ExportError, export_assets

        with opened_for(f"catalogue {catalogue!r}") as (_, backend):
            with backend.database.unit_of_work() as session:
                assets = list_assets(session, AssetFilter(catalogue=catalogue, limit=None))
            if not assets:
                raise InputError(f"there is no asset in a catalogue {catalogue!r}; see `tutti runs`")
            console = Console(stderr=True)
            steps = iter(track(assets, "exporting", console=console, disable=not console.is_terminal))
            try:
                done = export_assets(assets, backend.objects, to, formats, lambda: _step(steps))
            except ExportError as error:
                raise InputError(str(error)) from error
        if as_json:
            answer_json(
                {
                    "catalogue": catalogue,
                    "to": str(to.absolute()),
                    "assets": done.assets,
                    "files": done.files,
                    "written": done.written,
                    "manifest": str(done.manifest.absolute()),
                }
            )
        else:
            answer(
                f"{counted(done.assets, 'asset')}, {counted(done.files, 'file')} ({done.written} new) in {to}; "
                f"see {done.manifest}"
            )


def _step(steps: Iterator[object]) -> None:
    next(steps, None)
