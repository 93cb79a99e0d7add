"""`tutti playlists`: make, show, export and replay playlists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import SET_ASIDE, InputError, errors_told
from flows.cli.generate import JsonOption, WorkersOption
from flows.cli.output import SHORT, answer, answer_json, answers_only, counted, note, seconds, shortened, table

if TYPE_CHECKING:
    from db.database import Session
    from db.listeners import Listener
    from db.playlists import Playlist
    from flows.services import Backend, Services

app = typer.Typer(name="playlists", help="Playlists of every night.", no_args_is_help=True, rich_markup_mode=None)
_DateOption = Annotated[str | None, typer.Option("--date", help="A date such as 2026-05-01; otherwise the newest.")]
_ListenerArgument = Annotated[str, typer.Argument(metavar="LISTENER", help="Name of a listener.")]


@app.command()
def make(
    on: _DateOption = None,
    listener: Annotated[
        list[str] | None, typer.Option("--listener", help="Only this listener's; may be repeated.")
    ] = None,
    budget_s: Annotated[
        float | None, typer.Option(min=0, help="Seconds of new audio made for listeners; else TUTTI_NIGHT_BUDGET_S.")
    ] = None,
    catch_up: Annotated[int, typer.Option(min=0, max=366, help="Make up for so many missed nights too.")] = 0,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Only of pieces whose model is under this; may be repeated. Else TUTTI_NIGHT_LICENCES."),
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the playlists that are due and not made yet, and new pieces for listeners as far as the budget goes.

    A playlist is made of what was heard before its night began, at TUTTI_NIGHT_HOUR of the listener's clock. Exit
    codes: 0 done, 1 done but for what is named, 2 the input is wrong, 3 a service failed.
    """
    with errors_told():
        from flows.playlists.placing import taste_version

        wanted = _checked_date(on)
        services = _services()
        taste_version(services.settings)
        services.check_given()
        with services.open() as backend, backend.database.unit_of_work() as session:
            from db.listeners import list_listeners

            people = list_listeners(session, listener or None)
            _check_licences(session, licence or [])
        if wanted is not None:
            _check_due(wanted, people, services)
        told = _drive(services, on, listener or None, budget_s, catch_up, workers, licence or None)
        if as_json:
            answer_json(told)
        else:
            _tell(told)
        if told["failed"] or told["errors"] or told["unplaced"]:
            raise typer.Exit(SET_ASIDE)


@app.command()
def show(listener: _ListenerArgument, on: _DateOption = None, as_json: JsonOption = False) -> None:
    """Show a playlist of LISTENER, with the reason for every track."""
    with errors_told():
        with _kept(listener, on) as (_, backend, kept):
            body = json.loads(_whole(kept).body)
            withdrawn = _withdrawn(backend, kept)
        if as_json:
            answer_json(body | {"digest": kept.digest, "withdrawn": withdrawn})
            return
        rows = [
            (
                track["asset"][:SHORT],
                seconds(track["duration_s"]),
                shortened(track["title"], 44),
                track["why"]["words"],
                "withdrawn" if track["asset"] in withdrawn else "",
            )
            for track in body["tracks"]
        ]
        table(("asset", "length", "title", "why", ""), rows, whole=("asset",))
        told = [f"{kept.listener}, {kept.date}: {len(rows)} tracks"]
        if withdrawn:
            told.append(f"{len(withdrawn)} withdrawn since")
        if body["note"]:
            told.append(body["note"])
        answer("; ".join(told))


@app.command()
def export(
    listener: _ListenerArgument,
    to: Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.", show_default=False)],
    on: _DateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a playlist of LISTENER as M3U8, JSPF, XSPF and a page, with its sound files beside.

    Pieces that were withdrawn since are left out; how many is said.
    """
    with errors_told():
        from flows.playlists.files import PlaylistFilesError, write_files

        with _kept(listener, on) as (_, backend, kept):
            withdrawn = _withdrawn(backend, _whole(kept))
            try:
                files = [str(path) for path in write_files(kept, backend.objects, to, withdrawn)]
            except PlaylistFilesError as error:
                raise InputError(str(error)) from error
        if as_json:
            answer_json({"listener": kept.listener, "date": str(kept.date), "files": files, "withdrawn": withdrawn})
            return
        for path in files:
            answer(path)
        if withdrawn:
            note(f"left out: {counted(len(withdrawn), 'piece')} withdrawn since the playlist was made")


@app.command()
def replay(listener: _ListenerArgument, on: _DateOption = None, as_json: JsonOption = False) -> None:
    """Make a playlist of LISTENER again from the rows of its time, and say whether it is the same byte for byte."""
    with errors_told():
        from flows.playlists.replaying import replayed

        with _kept(listener, on) as (services, backend, kept):
            again = replayed(services, backend, kept)
        same = again.digest == kept.digest
        if as_json:
            told = {"listener": kept.listener, "date": str(kept.date), "same": same}
            answer_json(told | {"digest": kept.digest, "again": again.digest, "detail": again.detail})
        else:
            answer(f"{kept.listener}, {kept.date}: " + ("the same, byte for byte" if same else again.detail))
        raise typer.Exit(0 if same else SET_ASIDE)


def _services() -> Services:
    from flows.services import Services
    from flows.settings import load_settings

    return Services(load_settings())


def _check_licences(session: Session, licences: Sequence[str]) -> None:
    from db.model_versions import list_registered

    known = {str(version.card["licence"]) for version in list_registered(session) if "licence" in version.card}
    for licence in licences:
        if licence not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InputError(f"--licence {licence!r}: no model that made anything here is under it; there is {there}")


def _whole(kept: Playlist) -> Playlist:
    if kept.pruned_at is not None:
        raise InputError(
            f"the tracks of {kept.listener}'s playlist of {kept.date} were dropped on {kept.pruned_at:%Y-%m-%d}; "
            "playlists replay makes it again and holds it against its digest"
        )
    return kept


def _withdrawn(backend: Backend, kept: Playlist) -> list[str]:
    """Return the assets of a playlist that were withdrawn since it was made, in its order."""
    from db.recalls import withdrawals_of

    ids = [track["asset"] for track in json.loads(kept.body)["tracks"]]
    with backend.database.unit_of_work() as session:
        found = withdrawals_of(session, ids)
    return [each for each in ids if each in found]


def _checked_date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--date {text!r} is no date; write 2026-05-01") from None


def _check_due(on: date, people: Sequence[Listener], services: Services) -> None:
    from flows.playlists.nights import DateError, check_date

    people = [each for each in people if each.consented_at is not None]
    try:
        check_date(on, people, now=datetime.now(UTC), hour=services.settings.night_hour)
    except DateError as error:
        raise InputError(f"--date {on}: {error}") from None


@contextmanager
def _kept(listener: str, on: str | None) -> Iterator[tuple[Services, Backend, Playlist]]:
    """Give a kept playlist, and what to go on with."""
    from db.listeners import list_listeners
    from db.playlists import get_playlist
    from flows.cli.backend import opened
    from flows.settings import load_settings

    wanted = _checked_date(on)
    with opened() as found:
        if found is None:
            raise InputError(f"{listener!r} has no playlist: nothing was ever made in {load_settings().home}")
        services, backend = found
        with backend.database.unit_of_work() as session:
            list_listeners(session, [listener])
            kept = get_playlist(session, listener, wanted)
        yield services, backend, kept


def _drive(services: Services, *parameters: Any) -> dict[str, Any]:
    """Run the flow in this process."""
    from flows.cli.generate import driven
    from flows.prefect_environment import prepare

    with answers_only():
        note("starting services")
        prepare(services.prefect_up(), services.settings.home)
        from flows.playlists.nightly import nightly_playlists

        told: dict[str, Any] = asyncio.run(driven(nightly_playlists)(*parameters))
    return told


def _tell(told: dict[str, Any]) -> None:
    for night in told["nights"]:
        empty = f", {night['empty']} of them empty" if night["empty"] else ""
        made = counted(night["playlists"], "playlist")
        answer(f"{night['date']} (due {night['due_at']}): {made}{empty}")
    if not told["nights"]:
        answer("no playlist is due that is not made")
    if told["pieces"]:
        answer(f"{told['pieces']} pieces made for listeners")
    for name, why in told["failed"].items():
        note(f"no playlist for {name}: {why}")
    for asset, why in told["unplaced"].items():
        note(f"asset {asset[:SHORT]} cannot be in playlists: {why}")
    for error in told["errors"]:
        note(error)
