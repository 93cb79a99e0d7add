"""`tutti list`, `tutti show` and `tutti search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import SHORT, answer, answer_json, counted, in_words, note, seconds, shortened, table
from flows.kinds import KINDS

if TYPE_CHECKING:
    from db.assets import Asset, Lineage
    from db.database import Session
    from db.recalls import Withdrawal
    from flows.services import Backend, Services


@dataclass(frozen=True, slots=True)
class _Found:
    """Assets for an answer: at most one more than was asked for, and how many could not be compared (None: all)."""

    assets: Sequence[Asset]
    unplaced: int | None = None


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(search)


def list_(
    catalogue: Annotated[str | None, typer.Option(help="Only assets of this catalogue.")] = None,
    run: Annotated[str | None, typer.Option(help="Only assets of this run, in its order.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only assets of this kind: {', '.join(KINDS)}.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List assets, newest first."""
    with errors_told():
        if kind is not None and kind not in KINDS:
            raise InputError(f"--kind: must be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, not {kind!r}")

        def find(session: Session) -> _Found:
            from db.assets import AssetFilter, list_assets
            from db.catalogues import check_catalogue
            from db.runs import get_run

            if catalogue is not None:
                check_catalogue(session, catalogue)
            run_id = get_run(session, run).id if run is not None else None
            where = AssetFilter(catalogue=catalogue, run_id=run_id, kind=kind, limit=limit + 1 if limit else None)
            return _Found(list_assets(session, where))

        named = f"run {run!r}" if run is not None else f"catalogue {catalogue!r}" if catalogue is not None else None
        _answer_assets(find, limit, "--limit 0 lists all", as_json, named)


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

    By sound it finds those that have their place in the joint space, which the next night gives to all; how many
    have none yet is said.
    """
    with errors_told():

        def find(session: Session) -> _Found:
            from db.assets import get_asset, search_assets

            if not by_sound:
                return _Found(search_assets(session, text, limit + 1))
            from db.content_vectors import count_without_content, nearest
            from flows.playlists.placing import taste_version
            from flows.settings import load_settings
            from models.musiclm.joint_space import JointSpace

            version = taste_version(load_settings())
            unplaced = count_without_content(session, version.digest)
            near = nearest(session, version.digest, JointSpace(version).of_words(text), limit + 1)
            return _Found([get_asset(session, asset_id) for asset_id, _ in near], unplaced)

        _answer_assets(find, limit, f"--limit {10 * limit}", as_json)


def show(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset, or the beginning of its id: 4 digits or more.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show ASSET: its files, the recipe, and everything that made it."""
    with errors_told():
        from db.assets import lineage
        from db.recalls import withdrawals_of
        from flows.cli.backend import opened_for

        with opened_for(f"asset {asset!r}") as (services, backend):
            with backend.database.unit_of_work() as session:
                known = lineage(session, asset)
                withdrawal = withdrawals_of(session, [known.asset.id]).get(known.asset.id)
            described = _described(services, backend, known, withdrawal)
        if as_json:
            answer_json(described)
        else:
            _print(described)


def _answer_assets(
    find: Callable[[Session], _Found], limit: int, how_to_see_more: str, as_json: bool, named: str | None = None
) -> None:
    """Answer with what is found, `limit` assets at most (0: all); `named` is what must be there to be asked about."""
    from db.assets import catalogues_of
    from flows.cli.backend import opened

    with opened() as parts:
        lines: list[dict[str, Any]] = []
        found = _Found(())
        if parts is None and named is not None:
            raise InputError(f"there is no {named}: nothing was made here yet")
        if parts is not None:
            services, backend = parts
            with backend.database.unit_of_work() as session:
                found = find(session)
                shown = found.assets[: limit or None]
                among = catalogues_of(session, [each.id for each in shown])
            lines = [_line(services, backend, among[each.id], each) for each in shown]
    more = len(found.assets) > len(lines)
    if as_json:
        told: dict[str, Any] = {"assets": lines, "more": more}
        answer_json(told if found.unplaced is None else told | {"unplaced": found.unplaced})
        return
    rows = [
        (each["id"][:SHORT], each["kind"], seconds(each["duration_s"]), each["model"], shortened(each["prompt"]))
        for each in lines
    ]
    table(("asset", "kind", "length", "model", "prompt"), rows, whole=("asset",))
    if more:
        answer(f"… and more: {how_to_see_more}")
    if found.unplaced:
        pieces, verb = counted(found.unplaced, "piece"), "has" if found.unplaced == 1 else "have"
        note(f"{pieces} {verb} no place by sound yet, which tutti playlists make gives")


def _line(services: Services, backend: Backend, catalogues: Sequence[str], asset: Asset) -> dict[str, Any]:
    from flows.summary import line

    described = asdict(line(services, backend, catalogues, asset))
    return described | {"kind": asset.kind, "model": asset.model_name, "created_at": asset.created_at.isoformat()}


def _described(services: Services, backend: Backend, known: Lineage, withdrawal: Withdrawal | None) -> dict[str, Any]:
    from flows.summary import line, place

    asset = known.asset
    files = [
        asdict(file)
        | {
            "path": place(services, backend, known.catalogues, asset, file),
            "object": backend.objects.locate(file.digest),
        }
        for file in asset.files
    ]
    stages = [asdict(stage) | {"started_at": stage.started_at.isoformat()} for stage in known.stages]
    return asdict(line(services, backend, known.catalogues, asset)) | {
        "kind": asset.kind,
        "model": {"name": asset.model_name, "digest": asset.model_digest},
        "created_at": asset.created_at.isoformat(),
        "withdrawn": withdrawal and {"at": withdrawal.at.isoformat(), "reason": withdrawal.reason},
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
    model, withdrawn = described["model"], described["withdrawn"]
    profile = ", ".join(f"{key} {value}" for key, value in described["lineage"]["numeric_profile"].items())
    for name, value in (
        ("asset", described["id"]),
        ("digest", described["digest"]),
        ("prompt", described["prompt"]),
        ("made", f"{_moment(described['created_at'])}, {seconds(described['duration_s'])} long"),
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
    if withdrawn:
        answer(f"{'withdrawn':>11}  {_moment(withdrawn['at'])}: {' '.join(withdrawn['reason'].split())}")
    for name, value in described["attributes"].items():
        for number, line in enumerate(in_words(value)):
            answer(f"{'' if number else name:>11}  {line}")
    answer("")
    files = [(f["role"], f["name"], str(f["bytes"]), f["digest"]) for f in described["files"]]
    table(("file", "name", "bytes", "digest"), files, whole=("digest",))
    answer("")
    stages = [
        (s["stage"], seconds(s["wall_s"]), s["input_digest"][7:19], s["output_digest"][7:19])
        for s in described["lineage"]["stages"]
    ]
    table(("stage", "took", "input", "output"), stages)


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
