"""`tutti audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flows.cli.errors import DONE, SET_ASIDE, InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, counted, note, table

if TYPE_CHECKING:
    from flows.provenance.checks import Audit

_SIGNS: Final = {True: "ok", False: "FAILED", None: "-"}
_WORDS: Final = {
    "proved": "proved: every link of the chain holds",
    "failed": "failed: something is not as it was made; see the lines marked FAILED",
    "unknown": "unknown: nothing contradicts it, and it cannot be proved",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be audited, and how."""

    subject: str | None
    catalogue: str | None
    checkpoint: Path | None
    reproduce: bool
    sample: int | None


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(audit)


def audit(
    subject: Annotated[
        str | None,
        typer.Argument(metavar="SUBJECT", help="A file, or an asset (or the beginning of its id: 4 digits or more)."),
    ] = None,
    catalogue: Annotated[str | None, typer.Option(help="Audit the ledger and every asset of this catalogue.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Audit the ledger and every asset there is.")] = False,
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="Make the asset, or all of them, again and compare bit for bit.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --reproduce: only N of them, drawn by the ledger's newest root."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="A proof bundle: no database is asked.")] = None,
    log_key: Annotated[Path | None, typer.Option(help="With --bundle: the log's public key (log.pub).")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint kept elsewhere, to hold the log against.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what made SUBJECT, any file or an asset, and prove it link by link.

    Exit codes: 0 proved, 1 failed or not provable, 2 the input is wrong, 3 a service is missing or failed.
    """
    with errors_told():
        if sum((subject is not None, catalogue is not None, everything)) != 1:
            raise InputError("name one thing to audit: a file, an asset, --catalogue NAME or --all")
        if sample is not None and (subject is not None or not reproduce):
            raise InputError("--sample says how many of --catalogue or --all are made again: it wants --reproduce")
        if log_key is not None and bundle is None:
            raise InputError("--log-key goes with --bundle; here the key of this installation is used")
        if bundle is not None:
            if reproduce or checkpoint is not None:
                raise InputError("--bundle asks no database: it goes without --reproduce and --checkpoint")
            found = _with_bundle(subject, bundle, log_key)
        else:
            found = _with_database(_Asked(subject, catalogue, checkpoint, reproduce, sample))
        if as_json:
            answer_json(found.as_json())
        else:
            _print(found)
        raise typer.Exit(DONE if found.verdict == "proved" else SET_ASIDE)


def _with_bundle(subject: str | None, bundle: Path, log_key: Path | None) -> Audit:
    from flows.keys import load_keys, read_verifier
    from flows.provenance.audits import UnreadableFileError, audit_bundle
    from flows.provenance.evidence import BundleError, read_bundle
    from flows.settings import load_settings

    if subject is None:
        raise InputError("--bundle proves one file: name it")
    settings = load_settings()
    try:
        verifier = read_verifier(log_key) if log_key is not None else None
        evidence = read_bundle(bundle)
        return audit_bundle(Path(subject), evidence, verifier, load_keys(settings), [settings.model_folder])
    except (BundleError, UnreadableFileError) as error:
        raise InputError(str(error)) from error


def _with_database(asked: _Asked) -> Audit:
    from flows.cli.backend import opened
    from flows.cli.output import answers_only
    from flows.files import ABSENT, problem_with
    from flows.keys import load_keys
    from flows.provenance.audits import Auditor, UnreadableFileError
    from flows.provenance.catalogue_audit import EmptyCatalogueError, audit_catalogue

    path = Path(asked.subject) if asked.subject is not None else None
    with opened() as found:
        if found is None:
            raise InputError("nothing was made here yet, so there is nothing to hold it against; see --bundle")
        services, backend = found
        keys = load_keys(services.settings)
        auditor = Auditor(
            settings=services.settings,
            backend=backend,
            keys=keys,
            handed_in=asked.checkpoint,
            reproduce=asked.reproduce,
        )
        try:
            with answers_only():
                if path is None:
                    return audit_catalogue(auditor, asked.catalogue, _say_progress, asked.sample)
                if problem_with(path) == ABSENT:
                    return auditor.audit_asset(str(asked.subject))
                return auditor.audit_file(path)
        except (EmptyCatalogueError, UnreadableFileError) as error:
            raise InputError(str(error)) from error


def _say_progress(what: str, number: int) -> None:
    if number % (1000 if what == "audited" else 10) == 0:
        note(f"{counted(number, 'asset')} {what}")


def _print(found: Audit) -> None:
    answer(found.subject)
    answer(_WORDS[found.verdict])
    answer("")
    table(("check", "", "what was found"), [(each.name, _SIGNS[each.ok], each.detail) for each in found.checks])
    if found.recipe:
        model = found.recipe.get("model")
        named = f"{model.get('name')} {model.get('digest')}" if isinstance(model, Mapping) else model
        answer("")
        for name, value in (
            ("prompt", found.recipe.get("prompt")),
            ("seed", found.recipe.get("seed")),
            ("model", named),
        ):
            answer(f"{name:>11}  {value}")
