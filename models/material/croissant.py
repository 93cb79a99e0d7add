"""The manifest of a set of clips in the Croissant format (MLCommons, 1.0): every file with its source and licence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from models.material.ambience import Recording
from models.material.scores import Piece
from models.material.synth import training_soundfonts, unheard_soundfont
from models.whole_files import write_whole

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "jsonPath": "cr:jsonPath",
    "md5": "cr:md5",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "separator": "cr:separator",
    "source": "cr:source",
    "transform": "cr:transform",
}
_SOUNDFONT_LICENCES = {"FluidR3_GM": "MIT", "MuseScore_General_Lite": "MIT", "TimGM6mb": "GPL-2.0 (examination only)"}


def write_manifest(folder: Path, pieces: list[Piece], recordings: list[Recording]) -> Path:
    """Write `folder`/manifest.json: shards and index by digest, and every source with licence and digest."""
    shards = sorted((folder / "audio").glob("*.npy"))
    fonts = {**training_soundfonts(), "TimGM6mb": unheard_soundfont()}
    manifest = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "tutti-clips",
        "description": "Ten-second clips, 16 kHz mono: free scores and rules played through SoundFonts, free "
        "recordings of ambience, captions by template over what was rendered.",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "distribution": [
            _file_object("clips.jsonl", folder / "clips.jsonl", "application/jsonlines"),
            *(_file_object(f"audio/{path.name}", path, "application/x-npy") for path in shards),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "clips",
                "name": "clips",
                "field": [
                    _field("number", "sc:Integer"),
                    _field("split", "sc:Text"),
                    _field("labels", "sc:Text"),
                    _field("captions", "sc:Text", repeated=True),
                    _field("sources", "sc:Text", repeated=True),
                ],
            }
        ],
        "isBasedOn": [
            *(_source(p.file, p.licence, p.digest, creator=p.composer, part_of=p.collection) for p in pieces),
            *(_source(r.file, r.licence, r.digest, creator=r.author, part_of=r.source) for r in recordings),
            *(
                _source(name, _SOUNDFONT_LICENCES[name], _sha256(path), creator="", part_of="SoundFonts")
                for name, path in fonts.items()
            ),
        ],
    }
    path = folder / "manifest.json"
    write_whole(path, json.dumps(manifest, indent=1, ensure_ascii=False))
    return path


def _file_object(name: str, path: Path, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": encoding,
        "sha256": _sha256(path).removeprefix("sha256:"),
    }


def _field(name: str, kind: str, *, repeated: bool = False) -> dict[str, Any]:
    source = {"fileObject": {"@id": "clips.jsonl"}, "extract": {"jsonPath": f"$.{name}"}}
    return {
        "@type": "cr:Field", "@id": f"clips/{name}", "name": name, "dataType": kind, "repeated": repeated,
        "source": source,
    }  # fmt: skip


def _source(name: str, licence: str, digest: str, *, creator: str, part_of: str) -> dict[str, str]:
    return {
        "@type": "CreativeWork",
        "name": name,
        "license": licence,
        "identifier": digest,
        "creator": creator,
        "isPartOf": part_of,
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()
