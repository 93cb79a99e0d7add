"""All commands put together. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import typer

from flows.cli import (
    accompany,
    assets,
    audit,
    export,
    generate,
    keys,
    lineage,
    listeners,
    models,
    playlists,
    recall,
    runs,
    serve,
    services,
    sweep,
)

app = typer.Typer(
    name="tutti",
    help="Make catalogues of music from written orders, with a lineage that can be proved.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
generate.add_to(app)
accompany.add_to(app)
runs.add_to(app)
assets.add_to(app)
export.add_to(app)
audit.add_to(app)
lineage.add_to(app)
recall.add_to(app)
keys.add_to(app)
app.add_typer(models.app)
app.add_typer(listeners.app)
app.add_typer(playlists.app)
serve.add_to(app)
services.add_to(app)
sweep.add_to(app)
