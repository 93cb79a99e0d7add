"""`tutti models`: the model versions there are."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import memorised, model_provenance, training
from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, table

if TYPE_CHECKING:
    from models.weights import ModelVersion

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # owner/name

app = typer.Typer(name="models", help="List, show, add, verify, train and evaluate models.", no_args_is_help=True)
training.add_to(app)
memorised.add_to(app)
model_provenance.add_to(app)

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="name, or name@sha256:… (or its beginning).")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the model versions that orders can use."""
    with errors_told():
        from flows.settings import load_settings
        from models.registry import list_versions, superseded

        versions = list_versions([load_settings().model_folder])
        old = superseded(versions)
        if as_json:
            answer_json({"models": [_described(each) | {"superseded": each.digest in old} for each in versions]})
        else:
            kinds = [each.kind + " (superseded)" * (each.digest in old) for each in versions]
            rows = [(v.name, kind, v.digest, str(v.path)) for v, kind in zip(versions, kinds, strict=True)]
            table(("model", "kind", "digest", "folder"), rows, whole=("model", "digest"))


@app.command()
def show(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Show MODEL: its card (what it was trained on, under which licences, how it measures) and configuration."""
    with errors_told():
        from models.registry import follows_melody

        version = _find(model)
        if as_json:
            answer_json(_described(version) | {"config": version.config, "card": version.card})
            return
        for name, value in (("model", version.name), ("kind", version.kind), ("digest", version.digest)):
            answer(f"{name:>7}  {value}")
        answer(f"{'folder':>7}  {version.path}")
        if version.kind == "soundscape":
            answer(f"{'melody':>7}  {'followed' if follows_melody(version) else 'not followed'}")
        answer("")
        answer((version.path / "card.md").read_text(encoding="utf-8"))


@app.command()
def verify(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Load MODEL and see that its files are those its digest and signature name and fit its configuration."""
    with errors_told():
        from flows.keys import load_keys
        from flows.settings import load_settings
        from models.registry import load_generator
        from models.signing import check_signature

        version = _find(model)
        report = check_signature(version, load_keys(load_settings()).trusted_models)
        load_generator(version)
        if as_json:
            answer_json(_described(version) | {"verified": True, "signed_by": report.signer})
        else:
            signed = f"signed by key {str(report.signer)[:16]}…" if report.signed else "not signed"
            answer(f"{version.reference} is whole, {signed}")


@app.command()
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="A folder with model.safetensors, config.json and card.md; or a MusicGen checkpoint: its folder, "
            "or its name on Hugging Face, such as facebook/musicgen-small.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Add the model version in FOLDER: it is loaded once to see that it works, and copied below the home."""
    with errors_told():
        from flows.services import check_folder
        from flows.settings import load_settings
        from models.registry import add_version, load_generator
        from models.weights import ModelError

        folder = load_settings().model_folder
        with TemporaryDirectory(prefix="tutti-model-") as room:
            try:
                version = _read(source, Path(room))
                load_generator(version)
            except ModelError as error:
                raise InputError(str(error)) from error
            check_folder("the models' folder", folder)
            added = add_version(version, folder)
        if as_json:
            answer_json(_described(added))
        else:
            answer(f"{added.reference} is in {added.path}")


@app.command()
def renew(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder of the new version; it is not there yet.")],
    as_json: JsonOption = False,
) -> None:
    """Write a version with the weights of MODEL, a MusicLM, that draws and chooses takes as this Tutti would.

    Weights are lent, not copied: MODEL has to stay. Figures are to be measured again (tutti models evaluate).
    """
    with errors_told():
        from models.musiclm.release import ARCHITECTURE
        from models.musiclm.release import renew as renewed

        version = _find(model)
        if version.config.get("architecture") != ARCHITECTURE:
            raise InputError(f"{version.reference} is no MusicLM")
        if out.exists():
            raise InputError(f"{out} is there already: name a folder that is not")
        made = renewed(version, out)
        if as_json:
            answer_json(_described(made))
        else:
            answer(f"{made.reference} is in {made.path}; add it with: tutti models add {made.path}")


def _read(source: str, room: Path) -> ModelVersion:
    """Return the version in a folder; a MusicGen checkpoint is converted in `room` first."""
    from models.weights import read_version

    folder = Path(source)
    if not folder.is_dir() and not _HUB_NAME.fullmatch(source):
        return read_version(folder)  # which says what is wrong
    from models.musicgen.checkpoint import convert, download, is_checkpoint

    checkpoint = folder if folder.is_dir() else download(source)
    if folder.is_dir() and not is_checkpoint(folder):
        return read_version(folder)
    name = re.sub(r"[^a-z0-9.]+", "-", Path(source).resolve().name.lower()).strip("-.") or "musicgen"
    return convert(checkpoint, name, source, room / name)


def _find(reference: str) -> ModelVersion:
    from flows.settings import load_settings
    from models.registry import find_version

    return find_version(reference, [load_settings().model_folder])


def _described(version: ModelVersion) -> dict[str, Any]:
    from models.registry import follows_melody

    return {
        "model": version.name,
        "kind": version.kind,
        "digest": version.digest,
        "path": str(version.path),
        "follows_melody": follows_melody(version),
    }
