"""The schema's history. `HEAD` is the revision this code is written for."""

from __future__ import annotations

from typing import Final

HEAD: Final = "0005"
