"""Scores as lines of notes: what the renderer plays.

Rows of notes are (onset, duration, pitch): quarters from the first bar, quarters, MIDI pitch.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.score.corpus import Source, held_out, sources
from models.whole_files import whole_file

Notes = NDArray[np.float32]  # (notes, 3)
_FEWEST_NOTES = 24
_KEYBOARD_STAVES = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A score: melodic lines from the top down, and the keyboard part if there is one."""

    file: str
    composer: str
    collection: str
    licence: str
    digest: str
    lines: tuple[Notes, ...]
    keyboard: Notes | None

    @property
    def held_out(self) -> bool:
        """Whether its composer is kept for validation."""
        return held_out(self.composer)


def read_scores(data: Path, out: Path, workers: int, progress: Callable[[int, int], None]) -> list[Piece]:
    """Read every score below `data` and in music21's corpus, once; what was read is kept in `out`/scores.npz.

    A score that cannot be read is left out and named in `out`/unread.json.

    Raises:
        CorpusError: a folder or its index is missing.
    """
    kept = out / "scores.npz"
    if not kept.is_file():
        listed = sources(data)
        out.mkdir(parents=True, exist_ok=True)
        pieces: list[Piece] = []
        unread: list[str] = []
        with ProcessPoolExecutor(workers) as pool:
            for done, (source, piece) in enumerate(
                zip(listed, pool.map(_read_quietly, listed, chunksize=4), strict=True), start=1
            ):
                if isinstance(piece, Piece):
                    pieces.append(piece)
                else:
                    unread.append(f"{Path(source.path).name}: {piece}")
                progress(done, len(listed))
        (out / "unread.json").write_text(json.dumps(unread, indent=1), encoding="utf-8")
        _keep(pieces, kept)
    return _kept(kept)


def read_score(source: Source) -> Piece:
    """Read one score.

    Raises:
        ValueError: it has too few notes, or cannot be read at all.
    """
    import mido
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    if not toolkit.loadFile(source.path):
        raise ValueError("verovio cannot read it")
    midi = mido.MidiFile(file=io.BytesIO(base64.b64decode(toolkit.renderToMIDI())))
    staves = [notes for track in midi.tracks if len(notes := _notes(track, midi.ticks_per_beat)) >= _FEWEST_NOTES]
    if not staves:
        raise ValueError("fewer notes than a clip needs")
    keyboard = None
    if source.collection == "openscore-lieder" and len(staves) > _KEYBOARD_STAVES:
        hands = np.concatenate(staves[-_KEYBOARD_STAVES:])
        keyboard = hands[np.lexsort((hands[:, 2], hands[:, 0]))]
        staves = staves[:-_KEYBOARD_STAVES]
    return Piece(
        file=Path(source.path).name,
        composer=source.composer,
        collection=source.collection,
        licence=source.licence,
        digest=digest_of_bytes(Path(source.path).read_bytes()),
        lines=tuple(staves),
        keyboard=keyboard,
    )


def _notes(track: Sequence, ticks_per_quarter: int) -> Notes:  # type: ignore[type-arg]  # mido has no types
    at, sounding, rows = 0, dict[tuple[int, int], int](), list[tuple[float, float, float]]()
    for message in track:
        at += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if message.type == "note_on" and message.velocity:
            sounding[key] = at
        elif key in sounding:
            onset = sounding.pop(key)
            if at > onset:
                rows.append((onset / ticks_per_quarter, (at - onset) / ticks_per_quarter, message.note))
    return np.array(sorted(rows), dtype=np.float32).reshape(-1, 3)


def _read_quietly(source: Source) -> Piece | str:
    try:
        return read_score(source)
    except Exception as error:  # one unreadable score of thousands: it is named
        return f"{type(error).__name__}: {error}"


def _keep(pieces: list[Piece], path: Path) -> None:
    arrays: dict[str, NDArray[np.float32]] = {}
    index = []
    for number, piece in enumerate(pieces):
        for line, notes in enumerate(piece.lines):
            arrays[f"{number}.{line}"] = notes
        if piece.keyboard is not None:
            arrays[f"{number}.keyboard"] = piece.keyboard
        index.append([piece.file, piece.composer, piece.collection, piece.licence, piece.digest, len(piece.lines)])
    with whole_file(path) as file:
        np.savez(file, index=np.array(json.dumps(index)), **arrays)  # type: ignore[arg-type]


def _kept(path: Path) -> list[Piece]:
    with np.load(path, allow_pickle=False) as arrays:
        return [
            Piece(
                file=row[0],
                composer=row[1],
                collection=row[2],
                licence=row[3],
                digest=row[4],
                lines=tuple(arrays[f"{number}.{line}"] for line in range(row[5])),
                keyboard=arrays.get(f"{number}.keyboard"),
            )
            for number, row in enumerate(json.loads(str(arrays["index"])))
        ]
