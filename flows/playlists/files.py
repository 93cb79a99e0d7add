"""A playlist as other programs read it: M3U8 with relative paths, JSPF, XSPF, and a page to listen at.

The files of the pieces lie beside, in `tracks`, under names one can read; nothing is written twice.
"""

from __future__ import annotations

import html
import json
import os
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from db.objects import ObjectStore
from db.playlists import Playlist
from flows.errors import FlowError
from flows.shelf import slug

_NAMESPACE: Final = "http://xspf.org/ns/0/"
_TRACKS: Final = "tracks"
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "li{margin:0 0 1.2rem}audio{width:100%;margin-top:.3rem}small{color:#666;display:block}"
)


class PlaylistFilesError(FlowError):
    """The files of a playlist cannot be written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A track as files tell it; `path` is relative to the playlist, `digest` that of its sound file."""

    asset: str
    title: str
    duration_s: float
    path: str
    why: str
    digest: str


def entries_of(kept: Playlist) -> list[Entry]:
    """Return the tracks of a playlist."""
    body: Mapping[str, Any] = json.loads(kept.body)
    return [
        Entry(
            track["asset"],
            track["title"],
            float(track["duration_s"]),
            f"{_TRACKS}/{slug(track['title'])}-{track['asset'][:12]}{Path(track['file']['name']).suffix}",
            track["why"]["words"],
            track["file"]["digest"],
        )
        for track in body["tracks"]
    ]


def write_files(kept: Playlist, objects: ObjectStore, folder: Path, withdrawn: Collection[str] = ()) -> list[Path]:
    """Write a playlist and the files of its pieces into a folder; return the playlist's files.

    Assets that are `withdrawn` are left out, and what was written of them before is removed.

    Raises:
        PlaylistFilesError: the folder cannot be written.
        ObjectStoreError: a piece's file is missing or corrupt.
    """
    every = entries_of(kept)
    entries = [entry for entry in every if entry.asset not in withdrawn]
    note = "all of it was withdrawn" if every and not entries else json.loads(kept.body)["note"]
    title = f"{kept.listener}, {kept.date}"
    texts = {
        ".m3u8": m3u8(title, entries),
        ".jspf": jspf(title, kept, entries),
        ".xspf": xspf(title, kept, entries),
        ".html": page(title, note, entries),
    }
    try:
        (folder / _TRACKS).mkdir(parents=True, exist_ok=True)
        for entry in every:
            if entry.asset in withdrawn:
                (folder / entry.path).unlink(missing_ok=True)
            else:
                _place(objects, entry.digest, folder / entry.path)
        written = []
        for suffix, text in texts.items():
            path = folder / f"{kept.date}{suffix}"
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            partial.write_text(text, encoding="utf-8", newline="")
            partial.replace(path)
            written.append(path)
    except OSError as error:
        raise PlaylistFilesError(f"{folder} cannot be written: {error}") from error
    return written


def m3u8(title: str, entries: Sequence[Entry]) -> str:
    """Return extended M3U in UTF-8."""
    lines = ["#EXTM3U", f"#PLAYLIST:{_line(title)}"]
    for entry in entries:
        lines += [f"#EXTINF:{round(entry.duration_s)},{_line(entry.title)}", entry.path]
    return "\n".join(lines) + "\n"


def jspf(title: str, kept: Playlist, entries: Sequence[Entry]) -> str:
    """Return JSPF: XSPF's content as JSON."""
    tracks = [
        {
            "location": [quote(entry.path)],
            "identifier": [f"urn:sha256:{entry.asset}"],
            "title": entry.title,
            "annotation": entry.why,
            "duration": round(entry.duration_s * 1000),
        }
        for entry in entries
    ]
    head = {"title": title, "creator": "Tutti", "date": f"{kept.date}T00:00:00Z"}
    identifier = "urn:" + kept.digest
    return json.dumps({"playlist": {**head, "identifier": identifier, "track": tracks}}, ensure_ascii=False, indent=1)


def xspf(title: str, kept: Playlist, entries: Sequence[Entry]) -> str:
    """Return XSPF, version 1."""
    root = ET.Element("playlist", {"version": "1", "xmlns": _NAMESPACE})
    for name, text in (
        ("title", title),
        ("creator", "Tutti"),
        ("identifier", "urn:" + kept.digest),
        ("date", f"{kept.date}T00:00:00Z"),
    ):
        ET.SubElement(root, name).text = _xml(text)
    tracks = ET.SubElement(root, "trackList")
    for entry in entries:
        track = ET.SubElement(tracks, "track")
        for name, text in (
            ("location", quote(entry.path)),
            ("identifier", f"urn:sha256:{entry.asset}"),
            ("title", entry.title),
            ("annotation", entry.why),
            ("duration", str(round(entry.duration_s * 1000))),
        ):
            ET.SubElement(track, name).text = _xml(text)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def page(title: str, note: str | None, entries: Sequence[Entry]) -> str:
    """Return a page to listen at, without scripts."""
    items = "".join(
        f"<li><strong>{html.escape(entry.title)}</strong><small>{html.escape(entry.why)}</small>"
        f'<audio controls preload="none" src="{html.escape(quote(entry.path))}"></audio></li>\n'
        for entry in entries
    )
    shown = f"<ol>\n{items}</ol>" if entries else f"<p>Nothing tonight: {html.escape(note or '')}.</p>"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n'
        f"<h1>{html.escape(title)}</h1>\n{shown}\n</html>\n"
    )


def _place(objects: ObjectStore, digest: str, path: Path) -> None:
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    partial.write_bytes(objects.get(digest))
    partial.replace(path)


def _line(text: str) -> str:
    return " ".join(text.split())


def _xml(text: str) -> str:
    """Leave out what XML has no way to say."""
    return "".join(char for char in text if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff"))
