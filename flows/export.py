"""Export: the files of a catalogue in a folder of the user's, with a manifest that names every one of them."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from db.assets import Asset
from db.objects import ObjectStore, digest_of
from flows.errors import FlowError
from flows.files import reason
from flows.shelf import asset_folder_name

_MANIFEST: Final = ".c2pa"  # ends the role of a manifest that lies beside its file, as actors.marking names it


class ExportError(FlowError):
    """The export cannot be written as asked."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to: assets and files in it, and how many of the files were written now."""

    assets: int
    files: int
    written: int
    manifest: Path


def export_assets(
    assets: Sequence[Asset],
    objects: ObjectStore,
    folder: Path,
    roles: Collection[str] | None,
    on_asset: Callable[[], None] = lambda: None,
) -> Exported:
    """Write the files of these roles (all if None), a folder an asset, and catalogue.jsonl and .csv.

    A file's manifest that lies beside it goes with it: the two prove it together.
    Files that are there already and are the same are left; others are never written over.

    Raises:
        ExportError: no asset has a file of a role, a file is in the way, or the folder cannot be written.
        ObjectStoreError: an object is missing or corrupt.
    """
    known = sorted({file.role for asset in assets for file in asset.files})
    for role in sorted(set(roles or ()) - set(known)):
        raise ExportError(f"no asset of this catalogue has a {role!r}; there are: {', '.join(known)}")
    rows: list[dict[str, Any]] = []
    written = files = 0
    try:
        for asset in assets:
            names: dict[str, str] = {}
            for file in asset.files:
                if roles is None or file.role in roles or file.role.removesuffix(_MANIFEST) in roles:
                    name = f"{asset_folder_name(asset)}/{Path(file.name).name}"
                    written += _write(folder / name, file.digest, objects)
                    names[file.role] = name
            files += len(names)
            rows.append(_row(asset, names))
            on_asset()
        _replace(folder / "catalogue.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
        _replace(folder / "catalogue.csv", _csv(rows))
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {reason(error)}") from error
    return Exported(len(assets), files, written, folder / "catalogue.jsonl")


def _write(path: Path, digest: str, objects: ObjectStore) -> int:
    if path.exists():
        if not path.is_file() or digest_of(path.read_bytes()) != digest:
            raise ExportError(f"{path} is there and is something else; it is not written over")
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    partial.write_bytes(objects.get(digest))
    partial.rename(path)
    return 1


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(path)


def _row(asset: Asset, names: dict[str, str]) -> dict[str, Any]:
    return {
        "id": asset.id,
        "digest": asset.digest,
        "kind": asset.kind,
        "prompt": asset.prompt,
        "seed": asset.seed,
        "duration_s": asset.duration_s,
        "model": f"{asset.model_name}@{asset.model_digest}",
        "created_at": asset.created_at.isoformat(),
        "files": names,
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    roles = sorted({role for row in rows for role in row["files"]})
    fixed = [name for name in (rows[0] if rows else {}) if name != "files"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*fixed, *roles])
    for row in rows:
        writer.writerow([*(row[name] for name in fixed), *(row["files"].get(role, "") for role in roles)])
    return text.getvalue()
