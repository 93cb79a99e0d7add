"""Training material of the score model: passages cut out of free scores.

A passage is a run of whole bars in one metre. Reading a score costs up to seconds, so `prepare` reads each once
and keeps the passages as JSON lines beside a manifest that names every source, its licence and its digest.

Sources: OpenScore Lieder and OpenScore String Quartets (CC0), and from music21's corpus the folders in
`MUSIC21_FOLDERS`, whose works are long out of copyright and whose encodings carry no reservation. Its Essen
collection (non-commercial) and its Palestrina (rights reserved) are never read.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from models.digests import digest_of_bytes
from models.score.controls import METRES, TICKS_PER_QUARTER
from models.score.vocabulary import GRID, StaffKind
from models.whole_files import whole_file, write_whole

MUSIC21_FOLDERS = ("bach", "beethoven", "haydn", "mozart", "handel", "schumann_robert", "schumann_clara", "verdi")
MAX_OFF_GRID = 0.06  # a passage with more notes off the grid than this is left out
MIN_BARS, MAX_BARS = 4, 40


class CorpusError(Exception):
    """Training material is missing or cannot be read; the message names the folder."""


@dataclass(frozen=True, slots=True)
class Source:
    """One score file, who wrote the music, and under what terms the file may be used."""

    path: str
    composer: str
    collection: str
    licence: str


@dataclass(frozen=True, slots=True)
class Staff:
    """One staff of a passage. `notes` rows are (onset, duration, sounding pitch) in ticks from the first bar."""

    kind: StaffKind
    notes: list[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Passage:
    """Whole bars in one metre; `begins` and `ends` tell whether they open or close their movement."""

    source: str
    composer: str
    metre: str
    bars: int
    tempo_bpm: float | None
    begins: bool
    ends: bool
    staves: list[Staff]


def sources(data: Path) -> list[Source]:
    """List every score below `data` (openscore-lieder, openscore-quartets) and in music21's corpus.

    Raises:
        CorpusError: a folder or its index.csv is missing.
    """
    found: list[Source] = []
    for name in ("openscore-lieder", "openscore-quartets"):
        index = data / name / "index.csv"
        if not index.is_file():
            raise CorpusError(f"{index} is missing; --data names the folder that holds {name}/index.csv")
        with index.open(newline="", encoding="utf-8") as rows:
            found += [
                Source(str(data / name / row["file"]), row["composer"], name, "CC0-1.0")
                for row in csv.DictReader(rows)
            ]
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError("music21 is not installed; its corpus is part of the training material")
    corpus = Path(spec.submodule_search_locations[0]) / "corpus"
    for folder in MUSIC21_FOLDERS:
        found += [
            Source(str(path), folder.partition("_")[0], "music21", "public domain")
            for path in sorted((corpus / folder).rglob("*.mxl"))
        ]
    return found


def prepare(data: Path, out: Path, workers: int, progress: Callable[[int, int], None]) -> Path:
    """Read all sources into `out`/passages.jsonl.gz and `out`/manifest.json; return the manifest's path.

    A file that cannot be read is listed in the manifest with its error and left out.

    Raises:
        CorpusError: see `sources`.
    """
    listed = sources(data)
    out.mkdir(parents=True, exist_ok=True)
    items: list[dict[str, Any]] = []
    with (
        ProcessPoolExecutor(workers) as pool,
        whole_file(out / "passages.jsonl.gz") as file,
        gzip.open(file, "wt", encoding="utf-8") as lines,
    ):
        for done, (source, passages, error) in enumerate(pool.map(_read_quietly, listed, chunksize=4), start=1):
            for passage in passages:
                lines.write(json.dumps(asdict(passage), separators=(",", ":")) + "\n")
            path = Path(source.path)
            items.append(
                {
                    "file": path.name,
                    "collection": source.collection,
                    "composer": source.composer,
                    "licence": source.licence,
                    "digest": digest_of_bytes(path.read_bytes()),
                    "passages": len(passages),
                    "error": error,
                }
            )
            progress(done, len(listed))
    manifest = out / "manifest.json"
    write_whole(manifest, json.dumps({"schema": "tutti.score-corpus/1", "items": items}, indent=1))
    return manifest


def load_passages(folder: Path) -> list[Passage]:
    """Load what `prepare` kept.

    Raises:
        CorpusError: nothing was prepared there.
    """
    path = folder / "passages.jsonl.gz"
    if not path.is_file():
        raise CorpusError(f"{path} is missing; prepare the corpus first")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [
            Passage(**{**row, "staves": [Staff(s["kind"], [tuple(n) for n in s["notes"]]) for s in row["staves"]]})
            for row in map(json.loads, lines)
        ]


def held_out(composer: str, fraction: float = 0.05) -> bool:
    """Tell whether a composer is kept for validation: a fixed share of all names, by their digest."""
    return int.from_bytes(hashlib.sha256(composer.encode()).digest()[:4], "big") < fraction * 2**32


def _read_quietly(source: Source) -> tuple[Source, list[Passage], str | None]:
    try:
        return source, list(read_passages(source)), None
    except Exception as error:  # one unreadable score of thousands: named in the manifest
        return source, [], f"{type(error).__name__}: {error}"


def read_passages(source: Source) -> Iterator[Passage]:
    """Cut a score into passages of at least MIN_BARS bars in one known metre."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = _partitura().load_score(source.path)
    timeline = _Timeline(score.parts[0])
    staves = [staff for part in score.parts for staff in _staves(part)]
    for first, last in timeline.runs():
        bars = range(first, last)
        if len(bars) < MIN_BARS:
            continue
        written = [(kind, timeline.snap(notes, bars)) for kind, notes in staves]
        total = sum(len(notes) for _, (notes, _) in written)
        if total < 4 * len(bars) ** 0.5 or sum(off for _, (_, off) in written) > MAX_OFF_GRID * total:
            continue
        yield Passage(
            source=Path(source.path).name,
            composer=source.composer,
            metre=timeline.bars[first].metre,
            bars=len(bars),
            tempo_bpm=timeline.tempo(bars),
            begins=first == 0,
            ends=last == len(timeline.bars),
            staves=[Staff(kind, _monophonic(notes) if kind == "line" else notes) for kind, (notes, _) in written],
        )


def _partitura() -> Any:
    """Import partitura as if FluidSynth were not there: where it finds it, it fetches a SoundFont by FTP."""
    if "partitura" not in sys.modules:
        found = sys.modules.get("fluidsynth")
        sys.modules["fluidsynth"] = None  # type: ignore[assignment]  # what makes an import fail
        try:
            import partitura  # noqa: F401
        finally:
            del sys.modules["fluidsynth"]
            if found is not None:
                sys.modules["fluidsynth"] = found
    return sys.modules["partitura"]


@dataclass(frozen=True, slots=True)
class _Bar:
    start_q: float  # where a full bar would begin, in quarters: earlier than its first note in an upbeat
    end_q: float
    metre: str


class _Timeline:
    """Bars of a score and how quarters map to ticks within them."""

    def __init__(self, part: Any) -> None:
        from partitura import score as pt

        quarters = part.quarter_map
        metres = [(float(quarters(m.start.t)), f"{m.beats}/{m.beat_type}") for m in part.iter_all(pt.TimeSignature)]
        measures = [(float(quarters(m.start.t)), float(quarters(m.end.t))) for m in part.iter_all(pt.Measure)]
        self._tempi = [
            (float(quarters(t.start.t)), float(t.bpm))
            for t in part.iter_all(pt.Tempo)
            if t.bpm and t.unit in (None, "q")
        ]
        self.bars: list[_Bar] = []
        for index, (start, end) in enumerate(measures):
            metre = next((name for at, name in reversed(metres) if at <= start + 1e-6), "")
            full = METRES.get(metre, 0) / TICKS_PER_QUARTER
            short = end - start < full - 1e-6
            if not full or end - start > full + 1e-6 or (short and index not in (0, len(measures) - 1)):
                metre = ""  # a bar no passage may contain
            elif short and index == 0:
                start = end - full
            self.bars.append(_Bar(start, start + full if metre else end, metre))

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of every run of bars in one known metre, long ones in pieces of MAX_BARS."""
        breaks = [0, *(i for i, (a, b) in enumerate(pairwise(self.bars), 1) if a.metre != b.metre), len(self.bars)]
        for first, last in pairwise(breaks):
            if self.bars[first].metre:
                yield from ((at, min(at + MAX_BARS, last)) for at in range(first, last, MAX_BARS))

    def tempo(self, bars: range) -> float | None:
        """Return the tempo in force at the first bar, or None where the score gives none."""
        start = self.bars[bars[0]].start_q
        before = [bpm for at, bpm in self._tempi if at <= start + 1e-6]
        return before[-1] if before else (self._tempi[0][1] if self._tempi else None)

    def snap(self, notes: np.ndarray, bars: range) -> tuple[list[tuple[int, int, int]], int]:
        """Return the notes that begin in the bars, in ticks on the grid, and how many lay off it."""
        starts = np.array([self.bars[b].start_q for b in bars])
        bar_ticks = METRES[self.bars[bars[0]].metre]
        end_tick = len(bars) * bar_ticks
        inside = notes[(notes[:, 0] >= starts[0] - 1e-6) & (notes[:, 0] < self.bars[bars[-1]].end_q - 1e-6)]
        snapped: list[tuple[int, int, int]] = []
        off = 0
        for onset_q, duration_q, pitch in inside:
            bar = int(np.searchsorted(starts, onset_q + 1e-6, side="right")) - 1
            within, length = (onset_q - starts[bar]) * TICKS_PER_QUARTER, duration_q * TICKS_PER_QUARTER
            tick, ticks = GRID.snap(within, length)
            off += abs(tick - within) > 0.1 or abs(ticks - length) > 0.1
            onset = bar * bar_ticks + tick
            if onset < end_tick:
                snapped.append((onset, min(ticks, end_tick - onset), int(pitch)))
        return sorted(set(snapped)), off


def _staves(part: Any) -> Iterable[tuple[StaffKind, np.ndarray]]:
    """Yield the staves of a part as rows of (onset, duration in quarters, pitch)."""
    array = part.note_array(include_staff=True, include_grace_notes=True)
    array = array[array["is_grace"] == 0]
    rows = np.stack([array["onset_quarter"], array["duration_quarter"], array["pitch"]], axis=1).astype(float)
    staves = sorted(set(array["staff"].tolist()))
    if len(staves) == 1:
        yield "line", rows
    elif len(staves) == 2:
        kinds: tuple[StaffKind, StaffKind] = ("upper", "lower")
        for kind, staff in zip(kinds, staves, strict=True):
            yield kind, rows[array["staff"] == staff]
    else:
        raise CorpusError(f"a part has {len(staves)} staves")


def _monophonic(notes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Keep the highest note of each onset, and end each where the next begins."""
    top = {onset: (onset, duration, pitch) for onset, duration, pitch in sorted(notes, key=lambda n: (n[0], n[2]))}
    line = [top[onset] for onset in sorted(top)]
    cut = [(a, min(d, b - a), p) for (a, d, p), (b, _, _) in pairwise(line)]
    return [(onset, GRID.shorten(onset, duration), pitch) for onset, duration, pitch in [*cut, *line[-1:]]]
