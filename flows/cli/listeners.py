"""`tutti listeners`: people with playlists, and what they heard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, counted, shortened, table

app = typer.Typer(
    name="listeners", help="People with playlists, and what they heard.", no_args_is_help=True, rich_markup_mode=None
)
_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a listener.")]


@app.command()
def add(
    name: _NameArgument,
    consent: Annotated[
        bool, typer.Option("--consent", help="They agree that what they hear is kept and playlists are made of it.")
    ] = False,
    time_zone: Annotated[str, typer.Option(help="Where their clock is, such as Europe/Berlin.")] = "UTC",
    sentence: Annotated[str | None, typer.Option(help="What they like, in words: their taste to begin with.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a listener."""
    with errors_told():
        from flows.playlists.nights import ZoneError, zone
        from flows.services import Services
        from flows.settings import load_settings

        if not consent:
            raise InputError(
                f"nothing is kept of anybody without their consent: tutti listeners add {name} --consent"
            )
        if not 0 < len(name) <= 200 or "/" in name or name.startswith("."):
            raise InputError("a name has 1 to 200 characters, no '/', and does not begin with '.'")
        try:
            zone(time_zone)
        except ZoneError as error:
            raise InputError(f"--time-zone: {error}") from None
        services = Services(load_settings())
        services.check_given()
        with services.open() as backend, backend.database.unit_of_work() as session:
            from db.listeners import add_listener

            add_listener(session, name, time_zone=time_zone, sentence=sentence, consents=True)
        if as_json:
            answer_json({"listener": name, "time_zone": time_zone, "sentence": sentence})
        else:
            answer(f"added {name}")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl of events, or a ListenBrainz export.")
    ],
    listener: Annotated[str | None, typer.Option(help="Whose events these are, where FILE does not say.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in what listeners heard; the same events a second time change nothing.

    A CSV has the columns listener, asset, event (completed, skipped, liked, hated) and at (2026-05-01T20:15:00+02:00,
    or seconds since 1970); a JSONL has these keys in each line.
    """
    with errors_told():
        from db.assets import prompts_by_asset
        from db.listeners import list_listeners, record_events
        from flows.playlists.listening import assets_of, read_events
        from flows.services import Services
        from flows.settings import load_settings

        services = Services(load_settings())
        services.check_given()
        with services.open() as backend, backend.database.unit_of_work() as session:
            consenting = {each.name for each in list_listeners(session) if each.consented_at is not None}
            found = read_events(
                file,
                listener=listener,
                consenting=consenting,
                assets=assets_of(prompts_by_asset(session)),
                now=datetime.now(UTC),
            )
            new = record_events(session, found.events)
        if as_json:
            answer_json({"events": len(found.events), "new": new, "foreign": found.foreign})
        else:
            elsewhere = f"; {found.foreign} of things that are not in the catalogue" if found.foreign else ""
            answer(f"{counted(new, 'new event')} of {len(found.events)}{elsewhere}")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List listeners."""
    with errors_told():
        from flows.cli.backend import opened

        people: list[dict[str, Any]] = []
        with opened() as found:
            if found is not None:
                from db.listeners import count_events, list_listeners

                with found[1].database.unit_of_work() as session:
                    events = count_events(session)
                    people = [
                        {
                            "listener": each.name,
                            "time_zone": each.time_zone,
                            "sentence": each.sentence,
                            "events": events.get(each.name, 0),
                        }
                        for each in list_listeners(session)
                    ]
        if as_json:
            answer_json({"listeners": people})
            return
        rows = [
            (each["listener"], each["time_zone"], str(each["events"]), shortened(each["sentence"] or ""))
            for each in people
        ]
        table(("listener", "time zone", "events", "sentence"), rows, whole=("listener",))


@app.command()
def delete(name: _NameArgument, as_json: JsonOption = False) -> None:
    """Delete a listener with all that is known of them; the pieces stay, and are nobody's then."""
    with errors_told():
        from db.listeners import forget_listener
        from flows.cli.backend import opened
        from flows.provenance.sealing import seal
        from flows.settings import load_settings

        with opened() as found:
            if found is None:
                raise InputError(f"there is no listener {name!r}: nothing was ever made in {load_settings().home}")
            services, backend = found
            with backend.database.unit_of_work() as session:
                gone = forget_listener(session, name)
            seal(services, backend)
        if as_json:
            answer_json(
                {"listener": name, "events": gone.events, "playlists": gone.playlists, "pieces": list(gone.pieces)}
            )
        else:
            answer(
                f"deleted {name}: {counted(gone.events, 'event')}, {counted(gone.playlists, 'playlist')}, "
                f"the taste in {counted(len(gone.pieces), 'piece')} made for them"
            )
