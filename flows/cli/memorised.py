"""`tutti models memorised`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flows.cli.errors import DONE, SET_ASIDE, InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, note

if TYPE_CHECKING:
    from db.assets import Asset
    from models.musiclm.copies import Likeness

_WORDS: Final = {
    "copy": "a copy: ten seconds of it are, token by token, a training clip's",
    "near": "nearly a copy: it lies nearer to a training clip than every held-out clip does",
    "none": "no copy: held-out clips lie as near to what was trained on",
}


def add_to(app: typer.Typer) -> None:
    """Add the command to `tutti models`."""
    app.command()(memorised)


def memorised(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset, or the beginning of its id: 4 digits or more.")
    ],
    training: Annotated[
        Path, typer.Option(help="Folder of the training of its model (OUT), with clips/ and tokens.pt.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Say whether ASSET, made by a MusicLM, is a copy of what its model was trained on.

    Exit codes: 0 no copy, 1 a copy or nearly one, 2 the input is wrong, 3 a service is missing or failed.
    """
    with errors_told():
        from db.assets import get_asset
        from flows.cli.backend import opened_for
        from models.musiclm.codes_file import CodesError, read_codes
        from models.musiclm.copies import CopyError, TrainingMaterial
        from models.registry import find_version

        with opened_for(f"asset {asset!r}") as (services, backend):
            with backend.database.unit_of_work() as session:
                known = get_asset(session, asset)
            version = find_version(f"{known.model_name}@{known.model_digest}", [services.settings.model_folder])
            try:
                material = TrainingMaterial(version, training)
                codes = read_codes(b"".join(backend.objects.get(f.digest) for f in known.files if f.role == "codes"))
            except (CodesError, CopyError) as error:
                raise InputError(f"asset {known.id[:12]}: {error}") from error
        likeness = material.likeness(codes.semantic_Q, _say_progress)
        if as_json:
            answer_json(_as_json(known, likeness))
        else:
            _print(known, likeness)
        raise typer.Exit(DONE if likeness.verdict == "none" else SET_ASIDE)


def _say_progress(done: int, total: int) -> None:
    if done % 25 == 0 or done == total:
        note(f"{done}/{total} held-out clips beside it")


def _as_json(asset: Asset, likeness: Likeness) -> dict[str, Any]:
    clip = likeness.clip
    return {
        "asset": asset.id,
        "prompt": asset.prompt,
        "verdict": likeness.verdict,
        "nearest": {
            "clip": clip.number,
            "caption": clip.captions[0],
            "kind": clip.labels.kind,
            "sources": clip.sources,
        },
        "begin_s": likeness.begin_s,
        "cost": likeness.cost,
        "same": likeness.same,
        "shared_run_s": likeness.shared_run_s,
        "held_out": {"clips": likeness.held_out, "as_near": likeness.as_near, "as_same": likeness.as_same},
    }


def _print(asset: Asset, likeness: Likeness) -> None:
    clip = likeness.clip
    answer(_WORDS[likeness.verdict])
    for name, value in (
        ("asset", f"{asset.id[:12]}  {asset.prompt}"),
        ("nearest", f"training clip {clip.number}: {clip.captions[0]} ({', '.join(clip.sources)})"),
        ("cost", f"{likeness.cost:.3f}, as near: {likeness.as_near:.0%} of {likeness.held_out} held-out clips"),
        ("in place", f"{likeness.same:.0%} of the tokens of one clip, as many: {likeness.as_same:.0%} of those"),
        ("in a row", f"{likeness.shared_run_s:.1f} s, wherever they lie"),
    ):
        answer(f"{name:>11}  {value}")
