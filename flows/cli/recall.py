"""`tutti recall`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import SHORT, answer, answer_json, counted, shortened, table


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(recall)


def recall(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT",
            help="A model (name, or name@sha256:…), an input (sha256:…), a training item (its collection's name, or "
            "the digest of a manifest), or an asset (or the beginning of its id: 4 digits or more).",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="Assets whose prompt is like this instead: * is any text, ? any letter."
        ),
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take what is found off catalogues and shelves.")
    ] = False,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the bytes of an input for good.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is entered in the ledger.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was made with SUBJECT, through any number of generations; withdraw it, or erase an input.

    Nothing is changed without --withdraw or --erase.
    """
    with errors_told():
        from flows.cli.backend import opened
        from flows.provenance.recall import RecallError, check_input, erase_input, find, find_told, withdraw_all

        if (subject is None) == (prompt is None):
            raise InputError("name one thing: a model, an input, a training item, an asset, or --prompt PATTERN")
        if erase and subject is None:
            raise InputError("--erase removes one input: name its digest")
        named = str(subject if prompt is None else prompt)
        if (withdraw or erase) and not (reason and reason.strip()):
            raise InputError("--withdraw and --erase want a --reason, which is entered in the ledger")
        with opened() as found:
            if found is None:
                raise InputError(f"nothing was made with {named!r}: nothing was made here yet")
            services, backend = found
            try:
                with backend.database.unit_of_work() as session:
                    result = find(session, named) if prompt is None else find_told(session, named)
                    if erase:
                        check_input(session, named)
                withdrawn = withdraw_all(services, backend, result, str(reason)) if withdraw else []
                if erase:
                    erase_input(services, backend, named, str(reason))
            except RecallError as error:
                raise InputError(str(error)) from error
        if as_json:
            answer_json(
                {
                    "subject": named,
                    "digests": list(result.digests),
                    "assets": [asdict(each) for each in result.touched],
                    "withdrawn": withdrawn,
                    "erased": erase,
                }
            )
            return
        off = {each.asset for each in result.touched if each.withdrawn} | set(withdrawn)
        rows = [
            (
                each.asset[:SHORT],
                str(each.generation),
                shortened(each.prompt),
                "withdrawn" if each.asset in off else "",
            )
            for each in result.touched
        ]
        table(("asset", "generation", "prompt", ""), rows, whole=("asset",))
        answer(
            f"{counted(len(result.touched), 'asset')}; {len(withdrawn)} withdrawn now"
            + ("; input erased" if erase else "")
        )
