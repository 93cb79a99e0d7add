"""How to get into an S3 server; apart from what talks to one, which takes a tenth of a second to import."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where an S3 server is and how to get in. `endpoint` is http(s)://host:port; None is Amazon's."""

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
