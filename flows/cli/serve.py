"""`tutti serve`: what runs by the clock."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.errors import InputError, errors_told
from flows.cli.output import note

_PLAYLISTS_AT, _AUDIT_AT = "7 * * * *", "30 2 * * *"


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(serve)


def serve(
    playlists_at: Annotated[
        str, typer.Option(help="When to look for playlists that are due: cron, UTC.")
    ] = _PLAYLISTS_AT,
    audit_at: Annotated[str, typer.Option(help="When to audit everything: cron, UTC.")] = _AUDIT_AT,
) -> None:
    """Make playlists and audits by the clock, until stopped. Nights that were missed are made up for."""
    with errors_told():
        from flows.cron import CronError, check_cron
        from flows.errors import InterruptedRunError
        from flows.prefect_environment import prepare
        from flows.services import Services
        from flows.settings import load_settings

        for option, cron, usual in (
            ("--playlists-at", playlists_at, _PLAYLISTS_AT),
            ("--audit-at", audit_at, _AUDIT_AT),
        ):
            try:
                check_cron(cron)
            except CronError as error:
                raise InputError(f"{option}: {error}; the default is {usual!r}") from None
        services = Services(load_settings())
        services.up()
        prepare(services.prefect_up(), services.settings.home)
        from flows.serving import Schedule, serve_all

        note(f"serving; Prefect is at {services.prefect_up().removesuffix('/api')}")
        try:
            serve_all(services, Schedule(playlists=playlists_at, audit=audit_at))
        except CronError as error:
            raise InputError(str(error)) from None
        except InterruptedRunError as error:
            note("stopped; what was not done is done when it serves again")
            raise typer.Exit(128 + error.signal_number) from None
