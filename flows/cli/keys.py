"""`tutti keys`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json

if TYPE_CHECKING:
    from flows.keys import Keys


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(keys)


def keys(
    make: Annotated[Path | None, typer.Option(help="Make new keys in this folder, for TUTTI_KEYS.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the keys that sign and mark what is made; make those of a home, or new ones in a folder."""
    with errors_told():
        from flows.keys import load_keys, make_keys, read_keys
        from flows.settings import load_settings

        if make is not None:
            make_keys(make.expanduser().absolute(), development=False)
            found = read_keys(make.expanduser().absolute())
        else:
            found = load_keys(load_settings())
        described = _described(found)
        if as_json:
            answer_json(described)
            return
        for name, value in described.items():
            answer(f"{name.replace('_', ' '):>20}  {value}")
        answer("")
        answer("log.pub is for whoever verifies; public keys of models you trust go into trusted-models/;")
        answer("your own certificate goes into manifest.key, manifest.pem (leaf first) and root.pem; a command in")
        answer("manifest.command signs instead of manifest.key; certificates that are no longer trusted are named in")
        answer("revoked.txt by their serial numbers")


def _described(found: Keys) -> dict[str, Any]:
    from models.signing import key_hint

    certificate = found.certificate
    return {
        "folder": str(found.folder),
        "log_key": str(found.log.verifier),
        "model_key": key_hint(found.models.public_key()),
        "trusted_model_keys": len(found.trusted_models),
        "certificate": certificate.subject.rfc4514_string(),
        "signs_manifests": " ".join(found.manifests.command) or "manifest.key",
        "certificate_serial": f"{certificate.serial_number:#x}",
        "certificate_until": certificate.not_valid_after_utc.isoformat(),
        "revoked_certificates": len(found.revoked),
        "watermark": "with the development key, which everybody has"
        if found.watermark_is_everybodys
        else "with a key of your own",
    }
