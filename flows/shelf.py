"""The shelf of a catalogue: a folder with a folder for every asset, its files under their names.

Objects are kept under digests, which no program opens with a double click. The files of the shelf are hard links
to the objects, or copies where the folder lies on another disk. Objects on an S3 server have no shelf.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from db.assets import Asset, AssetFile
from db.objects import ObjectStore
from models.whole_files import whole_folder

FIRST_ROLES: Final = ("waveform", "musicxml")  # what one opens first; otherwise the first by role
_SLUG_CHARS: Final = 48


def asset_folder_name(asset: Asset) -> str:
    """Return a folder name that a person can read and that is this asset's alone."""
    return f"{slug(asset.prompt)}-{asset.id[:12]}"


def slug(text: str) -> str:
    """Return a text as lower-case words joined by hyphens, short enough for a file name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:_SLUG_CHARS].rstrip("-") or "piece"


def first_file(asset: Asset) -> AssetFile:
    """Return the file that one opens first."""
    by_role = {file.role: file for file in asset.files}
    return next((by_role[role] for role in FIRST_ROLES if role in by_role), asset.files[0])


def shelve(shelf: Path, assets: Iterable[Asset], objects: ObjectStore) -> None:
    """Put assets on a shelf; those that are there already are left as they are.

    A folder of an asset appears whole: it is filled under another name and then renamed.

    Raises:
        ObjectStoreError: an object cannot be read.
        OSError: the shelf cannot be written, or an asset has two files of one name.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in shelf.iterdir()}
    for asset in assets:
        name = asset_folder_name(asset)
        if name in there:
            continue
        with whole_folder(shelf / name) as partial:
            for file in asset.files:
                _place(objects, file.digest, partial / Path(file.name).name)
        there.add(name)


def _place(objects: ObjectStore, digest: str, path: Path) -> None:
    source = Path(objects.locate(digest))
    try:
        path.hardlink_to(source)
    except (
        FileExistsError
    ):  # an object itself, under the name of another file: what is written there is written into it
        raise
    except OSError:  # another disk, or one without links
        with path.open("xb") as copy:
            copy.write(objects.get(digest))
    path.chmod(0o444)  # the object's own bytes: an editor must not save over them
