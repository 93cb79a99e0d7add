"""Telling somebody how a night went: a JSON object by POST to TUTTI_NOTIFY_URL."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from flows.settings import Settings

_log = logging.getLogger(__name__)
_WITHIN_S: Final = 20.0


def notify(settings: Settings, message: Mapping[str, Any]) -> bool | None:
    """Send a message; return whether it arrived, None if nobody wants to be told. A night never fails of it."""
    if settings.notify_url is None:
        return None
    data = json.dumps(message, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    try:  # the setting begins with http:// or https://
        request = urllib.request.Request(settings.notify_url, data, headers, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_WITHIN_S):  # noqa: S310
            return True
    except (OSError, http.client.HTTPException, ValueError) as error:  # nobody there, no HTTP, no address
        _log.warning("nobody could be told at %s: %s", settings.notify_url, error)
        return False
