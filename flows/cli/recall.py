"""`tutti recall`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, table


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(recall)


def recall(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A model, the digest of an input, or a training item.")
    ],
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take what is found off catalogues and shelves.")
    ] = False,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the bytes of an input for good.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is entered in the ledger.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was made with SUBJECT, through any number of generations; withdraw it, or erase an input."""
    with errors_told():
        from flows.cli.backend import opened
        from flows.provenance.recall import RecallError, erase_input, find, withdraw_all

        if (withdraw or erase) and not (reason and reason.strip()):
            raise InputError("--withdraw and --erase want a --reason, which is entered in the ledger")
        with opened() as found:
            if found is None:
                raise InputError(f"nothing was made with {subject!r}: nothing was made here yet")
            services, backend = found
            try:
                with backend.database.unit_of_work() as session:
                    result = find(session, subject)
                withdrawn = withdraw_all(services, backend, result, str(reason)) if withdraw else []
                if erase:
                    erase_input(services, backend, subject, str(reason))
            except RecallError as error:
                raise InputError(str(error)) from error
        if as_json:
            answer_json(
                {
                    "subject": subject,
                    "digests": list(result.digests),
                    "assets": [asdict(each) for each in result.touched],
                    "withdrawn": withdrawn,
                    "erased": erase,
                }
            )
            return
        rows = [
            (each.asset[:12], str(each.generation), "withdrawn" if each.withdrawn else "") for each in result.touched
        ]
        table(("asset", "generation", ""), rows, whole=("asset",))
        answer(f"{len(result.touched)} assets; {len(withdrawn)} withdrawn now" + ("; input erased" if erase else ""))
