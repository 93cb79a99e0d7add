"""`tutti models sign` and `tutti models bom`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json

Model = Annotated[str, typer.Argument(metavar="MODEL", help="name, or name@sha256:… (or its beginning).")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `tutti models`."""
    app.command()(sign)
    app.command()(bom)


def sign(
    model: Model,
    key: Annotated[Path | None, typer.Option(help="A P-256 private key (PEM); else models.key.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the files of MODEL as OpenSSF Model Signing does; a signed model is used only as it was signed."""
    with errors_told():
        from flows.keys import load_keys
        from flows.settings import load_settings
        from models.registry import find_version
        from models.signing import key_hint, load_private_key, sign_version

        settings = load_settings()
        version = find_version(model, [settings.model_folder])
        try:
            private = load_private_key(key.read_bytes()) if key is not None else load_keys(settings).models
            path = sign_version(version, private)
        except (OSError, ValueError) as error:
            raise InputError(f"{key or version.path}: {error}") from error
        hint = key_hint(private.public_key())
        if as_json:
            answer_json({"model": version.reference, "signature": str(path), "key": hint})
        else:
            answer(f"{version.reference} is signed by key {hint[:16]}… in {path}")


def bom(
    model: Model,
    to: Annotated[Path, typer.Option(help="File to write.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Write the bill of materials of MODEL as CycloneDX 1.6: its files, training data, licences and metrics."""
    with errors_told():
        from flows.settings import load_settings
        from models.bom import bill_of_materials
        from models.registry import find_version

        version = find_version(model, [load_settings().model_folder])
        try:
            to.write_text(json.dumps(bill_of_materials(version), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{to}: {error.strerror}") from error
        if as_json:
            answer_json({"model": version.reference, "path": str(to.absolute())})
        else:
            answer(f"{to} is the bill of materials of {version.reference}")
