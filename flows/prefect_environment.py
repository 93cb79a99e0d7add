"""What Prefect reads from the environment while it is imported; set before that."""

from __future__ import annotations

import os
from pathlib import Path


def prepare(api_url: str, home: Path) -> None:
    """Point Prefect's client at a server, quietly and without telemetry; what the user set stays."""
    os.environ["PREFECT_API_URL"] = api_url
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # errors are told by the command line
        "PREFECT_CLIENT_METRICS_ENABLED": "false",
        # What its server answers while its database is away. Tried again for a minute in all, as 503 is by itself.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
        # It begins scheduled runs with "python -m", which would import from where the user stands before anything.
        "PYTHONSAFEPATH": "1",
    }.items():
        os.environ.setdefault(name, value)
    local = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(part for part in (os.environ.get(name), local) if part)
