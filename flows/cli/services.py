"""`tutti up`, `tutti down` and `tutti doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from flows.cli.errors import DONE, SERVICE_FAILED, errors_told
from flows.cli.generate import JsonOption
from flows.cli.output import answer, answer_json, table


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(doctor)


def up(as_json: JsonOption = False) -> None:
    """Start the embedded services that are not running; other commands do so as needed."""
    with errors_told():
        from flows.services import Services
        from flows.settings import load_settings

        services = Services(load_settings())
        services.up()
        given = services.settings.database_url is not None
        parts = {
            "home": str(services.settings.home),
            "database": "given by TUTTI_DATABASE_URL" if given else services.postgres.url(),
            "objects": services.settings.objects_at,
            "prefect": services.prefect_up(),
        }
        if as_json:
            answer_json(parts)
        else:
            for name, value in parts.items():
                answer(f"{name:>9}  {value}")


def down(as_json: JsonOption = False) -> None:
    """Stop the embedded services. Runs that are being made wait for them, and then end; they can be resumed."""
    with errors_told():
        from flows.services import Services
        from flows.settings import load_settings

        services = Services(load_settings())
        ran = services.down()
        if as_json:
            answer_json({"home": str(services.settings.home), "stopped": True, "was_running": ran})
        else:
            answer("stopped" if ran else f"nothing was running in {services.settings.home}")


def doctor(as_json: JsonOption = False) -> None:
    """Look at every part, without starting or changing anything. Exit code 3 if one cannot be used."""
    with errors_told():
        from flows.doctor import examine
        from flows.services import Services
        from flows.settings import load_settings

        checks = examine(Services(load_settings()))
        if as_json:
            answer_json({"checks": [asdict(check) for check in checks]})
        else:
            table(("part", "", "detail"), [(c.name, "ok" if c.ok else "FAULT", c.detail) for c in checks])
        raise typer.Exit(DONE if all(check.ok for check in checks) else SERVICE_FAILED)
