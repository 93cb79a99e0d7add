"""The files of an asset as its ledger entry describes them, which may hold anything until it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from flows.provenance.identity import KnownFile
from flows.wording import explain


class MalformedEntryError(ValueError):
    """An entry that does not describe files; the message says where and why."""


class _File(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    name: str
    media_type: str
    bytes: Annotated[int, Field(ge=0)]
    digest: str
    unsigned_digest: str | None = None


_FILES: Final = TypeAdapter(list[_File])


def entered_files(asset: str, entry: Mapping[str, Any]) -> list[KnownFile]:
    """Return the files in the content of the entry of an asset.

    Raises:
        MalformedEntryError: they are not described as `db.asset_entries` does.
    """
    try:
        files = _FILES.validate_python(entry.get("files"))
    except ValidationError as error:
        place, problem = explain(error, _File.model_fields)
        where = ".".join(("files", *(str(part) for part in place)))
        raise MalformedEntryError(f"{where}: {problem}") from None
    return [KnownFile(asset, f.name, f.media_type, f.bytes, f.digest, f.unsigned_digest) for f in files]
