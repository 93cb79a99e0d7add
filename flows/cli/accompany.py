"""`tutti accompany`: an order of one track, made at once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption, WorkersOption, generate

CATALOGUE = "accompaniments"


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(accompany)


def accompany(
    vocals: Annotated[Path, typer.Argument(metavar="VOCALS", help="A recording of a voice: WAV, FLAC, MP3, OGG.")],
    prompt: Annotated[str | None, typer.Option(help="What it is to be accompanied by, in words.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many accompaniments, each with a seed of its own.")] = 1,
    duration_s: Annotated[float | None, typer.Option(help="Seconds; else as long as the vocals.")] = None,
    balance_db: Annotated[
        float | None, typer.Option(help="How much louder than the vocals the accompaniment is; else -3.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="VOCALS is a whole song: take the voice out of it first.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed that all seeds derive from.")] = 0,
    catalogue: Annotated[str, typer.Option(help="Name of the catalogue.")] = CATALOGUE,
    model: Annotated[str | None, typer.Option(help="Model or model@digest; else the newest there is.")] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accompany VOCALS: an accompaniment, the mix, and both stems aligned to the sample."""
    with errors_told():
        from flows.errors import Place
        from flows.inputs import VOICE, InputFiles

        InputFiles().recording(vocals, VOICE, Place(vocals))
    import yaml

    track: dict[str, Any] = {"accompany": {"vocals": str(vocals.absolute()), "separate": separate}, "count": count}
    if balance_db is not None:
        track["accompany"]["balance_db"] = balance_db
    track |= {name: value for name, value in (("prompt", prompt), ("duration_s", duration_s)) if value is not None}
    order = {"catalogue": catalogue, "seed": seed, "tracks": [track]}
    with TemporaryDirectory(prefix="tutti-accompany-") as folder:
        path = Path(folder) / "accompany.yaml"
        path.write_text(yaml.safe_dump(order, allow_unicode=True), encoding="utf-8")
        with errors_told():
            _check(path)
        generate(path, model=model, kind="accompaniment", workers=workers, as_json=as_json)


def _check(order: Path) -> None:
    """Tell what is wrong with an option by the option's name; nobody has seen the order."""
    from flows.errors import OrderError
    from flows.order import load_order

    try:
        load_order(order)
    except OrderError as error:
        option = error.place.key.rpartition(".")[2].replace("_", "-")
        raise InputError(f"--{option}: {error.problem}") from None
