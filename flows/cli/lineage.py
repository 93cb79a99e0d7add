"""`tutti lineage`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json


class Format(StrEnum):
    """What a lineage can be written as."""

    BUNDLE = "bundle"
    PROV = "prov"
    OPENLINEAGE = "openlineage"
    SVG = "svg"


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(lineage)


def lineage(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset, or the beginning of its id: 4 digits or more.")
    ],
    to: Annotated[
        str, typer.Option(metavar="FILE", help="File to write; OpenLineage events also go to an http(s):// address.")
    ],
    as_: Annotated[Format, typer.Option("--as", help="What to write.")] = Format.BUNDLE,
    as_json: JsonOption = False,
) -> None:
    """Write how ASSET came to be: a proof bundle, W3C PROV-JSON, OpenLineage events, or a picture."""
    with errors_told():
        from flows.cli.backend import opened_for
        from flows.keys import load_keys
        from flows.provenance.audits import Auditor
        from flows.provenance.exports import ExportError, export_lineage, send_lineage

        with opened_for(f"asset {asset!r}") as (services, backend):
            auditor = Auditor(settings=services.settings, backend=backend, keys=load_keys(services.settings))
            try:
                if to.startswith(("http://", "https://")):
                    if as_ is not Format.OPENLINEAGE:
                        raise InputError(f"--to {to}: only --as openlineage is sent to an address")
                    asset_id = send_lineage(auditor, asset, to)
                else:
                    asset_id = export_lineage(auditor, asset, as_.value, Path(to))
            except ExportError as error:
                raise InputError(str(error)) from error
        if as_json:
            where = {"url": to} if "://" in to else {"path": str(Path(to).absolute())}
            answer_json({"asset": asset_id, "as": as_.value, **where})
        else:
            answer(f"{to} holds the lineage of {asset_id} as {as_.value}")
