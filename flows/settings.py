"""Settings: where each part of Tutti is, from environment variables that begin with TUTTI_.

With nothing set everything is local and below one home folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flows.errors import SettingsError
from flows.wording import problem_of

Dtype = Literal["float32", "bfloat16", "float16", "int8"]

_PREFIX = "TUTTI_"


def default_home() -> Path:
    """Return where the embedded parts live unless TUTTI_HOME says otherwise.

    For root that is not below root's own home: PostgreSQL runs as another user there, who cannot enter it.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/tutti")
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "tutti"


def default_workers() -> int:
    """Return one worker for each processor this process may use, eight at most."""
    return min(len(os.sched_getaffinity(0)), 8)


def _whole_path(path: Path) -> Path:
    return path.expanduser().absolute()


def _listed(value: object) -> object:
    """Read "CC0-1.0, Apache-2.0" as a list."""
    return tuple(part for word in value.split(",") if (part := word.strip())) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every setting, by its variable without TUTTI_."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    home: Annotated[Path, AfterValidator(_whole_path)] = Field(default_factory=default_home)
    database_url: SecretStr | None = None
    objects: str | None = None
    s3_endpoint: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    ray_address: str | None = None
    workers: Annotated[int, Field(ge=1, le=10_000)] = Field(default_factory=default_workers)
    threads: Annotated[int, Field(ge=1, le=1_024)] = 1
    slots: Annotated[int, Field(ge=1, le=4_096)] = 8
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:1")] = (
        "auto"
    )
    dtype: Dtype = "float32"
    gpus_per_worker: Annotated[float, Field(ge=0, le=64)] | None = None
    models: Annotated[Path, AfterValidator(_whole_path)] | None = None
    generator: Annotated[
        str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="a function as module:name")
    ] = "models.registry:load_generator"
    keys: Annotated[Path, AfterValidator(_whole_path)] | None = None
    checkpoints: Annotated[Path, AfterValidator(_whole_path)] | None = None
    watermark: Literal["on", "off"] = "on"
    manifests: Literal["embedded", "beside", "off"] = "embedded"
    taste_model: Annotated[str, Field(min_length=1)] | None = None
    night_hour: Annotated[int, Field(ge=0, le=23)] = 4
    night_budget_s: Annotated[float, Field(ge=0, le=10_000_000)] = 300.0
    night_licences: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_listed)] = None
    playlist_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    notify_url: Annotated[str | None, Field(pattern=r"^https?://\S+$", description="http://… or https://…")] = None
    lease_s: Annotated[float, Field(ge=1, le=3_600)] = 15.0
    patience_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0

    @property
    def objects_at(self) -> str:
        """The object store: a folder below home unless TUTTI_OBJECTS names another, or a bucket."""
        return self.objects or str(self.home / "objects")

    @property
    def model_folder(self) -> Path:
        """Where registered model versions are kept, besides those that come with Tutti."""
        return self.models or self.home / "models"

    @property
    def key_folder(self) -> Path:
        """Where the keys are that sign and mark what is made."""
        return self.keys or self.home / "keys"

    @property
    def checkpoint_folder(self) -> Path:
        """Where the ledger's checkpoints are kept besides the object store."""
        return self.checkpoints or self.home / "checkpoints"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable has a value that cannot be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = _PREFIX + str(first["loc"][0]).upper() if first["loc"] else "settings"
        if first["type"] == "string_pattern_mismatch":
            words = Settings.model_fields[str(first["loc"][0])].description
            raise SettingsError(f"{name}: must be {words}, not {first['input']!r}") from None
        raise SettingsError(f"{name}: {problem_of(first, ())}") from None
