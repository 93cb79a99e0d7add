"""`tutti list`, `tutti show` and `tutti search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import SHORT, answer, answer_json, seconds, shortened, table

if TYPE_CHECKING:
    from db.assets import Asset, Lineage
    from db.database import Session
    from flows.services import Backend, Services


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(search)


def list_(
    catalogue: Annotated[str | None, typer.Option(help="Only assets of this catalogue.")] = None,
    run: Annotated[str | None, typer.Option(help="Only assets of this run, in its order.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only assets of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List assets, newest first."""
    with errors_told():

        def find(session: Session) -> Sequence[Asset]:
            from db.assets import AssetFilter, list_assets
            from db.runs import get_run

            run_id = get_run(session, run).id if run is not None else None
            where = AssetFilter(catalogue=catalogue, run_id=run_id, kind=kind, limit=limit or None)
            return list_assets(session, where)

        _answer_assets(find, as_json)


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='Words, "a phrase", or, -without.')],
    by_sound: Annotated[
        bool,
        typer.Option("--by-sound", help="By how they sound: nearest to TEXT in the joint space that tells tastes."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Find assets by the words of their prompt and what was read from it, best first.

    By sound it finds those that have their place in the joint space, which the next night gives to all.
    """
    with errors_told():

        def find(session: Session) -> Sequence[Asset]:
            from db.assets import get_asset, search_assets

            if not by_sound:
                return search_assets(session, text, limit)
            from db.content_vectors import nearest
            from flows.playlists.placing import taste_version
            from flows.settings import load_settings
            from models.musiclm.joint_space import JointSpace

            version = taste_version(load_settings())
            near = nearest(session, version.digest, JointSpace(version).of_words(text), limit)
            return [get_asset(session, asset_id) for asset_id, _ in near]

        _answer_assets(find, as_json)


def show(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="An asset, or the beginning of its id.")],
    as_json: JsonOption = False,
) -> None:
    """Show ASSET: its files, the recipe, and everything that made it."""
    with errors_told():
        from db.assets import lineage
        from flows.cli.backend import opened_for

        with opened_for(f"asset {asset!r}") as (services, backend):
            with backend.database.unit_of_work() as session:
                known = lineage(session, asset)
            described = _described(services, backend, known)
        if as_json:
            answer_json(described)
        else:
            _print(described)


def _answer_assets(find: Callable[[Session], Sequence[Asset]], as_json: bool) -> None:
    from flows.cli.backend import opened

    with opened() as found:
        lines: list[dict[str, Any]] = []
        if found is not None:
            services, backend = found
            with backend.database.unit_of_work() as session:
                assets = find(session)
            lines = [_line(services, backend, each) for each in assets]
    if as_json:
        answer_json({"assets": lines})
        return
    rows = [
        (each["id"][:SHORT], each["kind"], seconds(each["duration_s"]), each["model"], shortened(each["prompt"]))
        for each in lines
    ]
    table(("asset", "kind", "length", "model", "prompt"), rows, whole=("asset",))


def _line(services: Services, backend: Backend, asset: Asset) -> dict[str, Any]:
    from flows.summary import line

    described = asdict(line(services, backend, None, asset))
    return described | {"kind": asset.kind, "model": asset.model_name, "created_at": asset.created_at.isoformat()}


def _described(services: Services, backend: Backend, known: Lineage) -> dict[str, Any]:
    from flows.summary import line

    asset = known.asset
    catalogue = known.catalogues[0] if known.catalogues else None
    files = [asdict(file) | {"path": backend.objects.locate(file.digest)} for file in asset.files]
    stages = [asdict(stage) | {"started_at": stage.started_at.isoformat()} for stage in known.stages]
    return asdict(line(services, backend, catalogue, asset)) | {
        "kind": asset.kind,
        "model": {"name": asset.model_name, "digest": asset.model_digest},
        "created_at": asset.created_at.isoformat(),
        "catalogues": list(known.catalogues),
        "runs": list(known.runs),
        "attributes": asset.attributes,
        "files": files,
        "recipe": known.recipe,
        "lineage": {
            "worker": known.worker,
            "code_version": known.code_version,
            "numeric_profile": known.numeric_profile,
            "stages": stages,
            "edges": [asdict(edge) for edge in known.edges],
        },
    }


def _print(described: dict[str, Any]) -> None:
    model = described["model"]
    profile = ", ".join(f"{key} {value}" for key, value in described["lineage"]["numeric_profile"].items())
    for name, value in (
        ("asset", described["id"]),
        ("digest", described["digest"]),
        ("prompt", described["prompt"]),
        ("made", f"{described['created_at'][:19].replace('T', ' ')} UTC, {seconds(described['duration_s'])} long"),
        ("model", f"{model['name']} {model['digest']}"),
        ("seed", described["seed"]),
        ("catalogues", ", ".join(described["catalogues"])),
        ("runs", ", ".join(described["runs"])),
        ("opens with", described["path"]),
        ("worker", described["lineage"]["worker"]),
        ("code", described["lineage"]["code_version"]),
        ("profile", profile),
    ):
        answer(f"{name:>11}  {value}")
    for name, value in described["attributes"].items():
        answer(f"{name:>11}  {value}")
    answer("")
    files = [(f["role"], f["name"], str(f["bytes"]), f["digest"]) for f in described["files"]]
    table(("file", "name", "bytes", "digest"), files, whole=("digest",))
    answer("")
    stages = [
        (s["stage"], seconds(s["wall_s"]), s["input_digest"][7:19], s["output_digest"][7:19])
        for s in described["lineage"]["stages"]
    ]
    table(("stage", "took", "input", "output"), stages)
