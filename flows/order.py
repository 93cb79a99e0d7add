"""Orders: what a user wrote, read and checked before anything starts.

An order is a YAML file, a CSV with a track a row, or a JSONL with a track a line. Tracks of CSV and JSONL files
are streamed and kept in a file once they are checked, so an order may have millions, and none is checked twice.
"""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from flows.errors import OrderError, Place
from flows.files import problem_with
from flows.inputs import TUNE, VOICE, InputFile, InputFiles
from flows.kinds import Kind, a_kind
from flows.order_schema import (
    ACCOMPANIMENT_CONTROLS,
    CATALOGUE_NAME,
    HEADER_KEYS,
    KEYS_BELOW,
    MAX_COUNT,
    SCORE_CONTROLS,
    SHORTEST_SECTION_S,
    SOUNDSCAPE_CONTROLS,
    TRACK_KEYS,
    WrittenHeader,
    WrittenTrack,
)
from flows.prompts import check_source, check_template, parse_source
from flows.recipe import SEED_BITS
from flows.rows import read_csv_rows, read_jsonl_rows
from flows.track import Track, TrackSpool
from flows.wording import explain, unknown_key
from flows.yaml_lines import Path_, dotted, read_yaml
from models.generator import MELODY, NO_WORDS

SUFFIXES = (".yaml", ".yml", ".csv", ".jsonl")
_WHOLE, _NUMBER, _LIST = ("sample", "count", "seed", "tempo_bpm"), ("duration_s",), ("instruments",)
_KINDS: Final[Mapping[str, tuple[Kind, str]]] = {  # what an order is that gives such a file and does not say
    "accompany": ("accompaniment", "vocals want kind: accompaniment"),
    MELODY: ("soundscape", "a melody wants kind: soundscape"),
}
_RECORDED_TRACKS = 1_000  # an order with more is recorded by its digest and number of tracks


@dataclass(frozen=True, slots=True)
class OrderOptions:
    """What the command line fixes for an order; it goes before what the order says."""

    catalogue: str | None = None
    model: str | None = None
    kind: Kind | None = None
    seed: int | None = None
    duration_s: float | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by key."""
        every = {name: getattr(self, name) for name in HEADER_KEYS}
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A checked order. `tracks` can be gone through any number of times; `record` is what a run keeps of it.

    `items` is how many pieces it asks for, equal ones counted each time.
    """

    path: Path
    digest: str
    catalogue: str
    model: str | None
    kind: Kind | None
    seed: int
    tracks: Iterable[Track]
    items: int
    record: Mapping[str, Any]
    first_uses: Mapping[str, Place]  # of each control
    first_without: Place | None  # the first track that has no vocals
    inputs: Mapping[str, InputFile]  # files that pieces are made from, by digest
    written: Mapping[str, Place]  # where the order itself says its model and its kind, as far as it does


def load_order(path: Path, options: OrderOptions | None = None) -> Order:
    """Read and check an order, with every prompt it takes from other files.

    Raises:
        OrderError: something in it cannot be used; the error names file, line and key.
    """
    options = options or OrderOptions()
    if (problem := problem_with(path)) is not None:
        raise OrderError(Place(path), problem)
    if path.suffix.lower() not in SUFFIXES:
        raise OrderError(Place(path), f"an order is a {', '.join(SUFFIXES)} file")
    tracks: Iterable[Track]
    first_uses: dict[str, Place] = {}
    without: list[Place] = []
    written: dict[str, Place] = {}
    inputs = InputFiles()
    if path.suffix.lower() in (".yaml", ".yml"):
        header, tracks, written = _load_yaml(path, options, inputs)
        items, about = _check_tracks(tracks, first_uses, without)
    else:
        header = _rows_header(path, options)
        tracks = TrackSpool(path)
        items, about = _check_tracks(tracks.kept(_read_rows(path, header, inputs)), first_uses, without)
    return Order(
        path=path,
        digest=_digest(path),
        catalogue=header.catalogue,
        model=header.model,
        kind=header.kind or next((kind for name, (kind, _) in _KINDS.items() if name in first_uses), None),
        seed=header.seed,
        tracks=tracks,
        items=items,
        record={"file": path.name, **header.model_dump(), **about},
        first_uses=first_uses,
        first_without=without[0] if without else None,
        inputs=inputs.by_digest,
        written=written,
    )


def check_controls(order: Order, kind: str) -> None:
    """See that an order fixes nothing that this kind of piece does not have.

    Raises:
        OrderError: it does; the error names the first place.
    """
    known = {"score": SCORE_CONTROLS, "soundscape": SOUNDSCAPE_CONTROLS, "accompaniment": ACCOMPANIMENT_CONTROLS}
    for name, place in order.first_uses.items():
        if name in known[kind]:
            continue
        if name in _KINDS:
            raise OrderError(place, f"the order is of kind {kind}; {_KINDS[name][1]}")
        raise OrderError(place, f"{a_kind(kind)} has no {name!r}; say it in the prompt")
    if kind == "accompaniment" and order.first_without is not None:
        raise OrderError(order.first_without, "an accompaniment needs 'accompany': a file with vocals")


def _digest(path: Path) -> str:
    """Return the digest of a file without the mark that some editors put before UTF-8."""
    with path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _load_yaml(
    path: Path, options: OrderOptions, inputs: InputFiles
) -> tuple[WrittenHeader, Iterable[Track], dict[str, Place]]:
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise OrderError(Place(path, 1), "an order is a mapping with 'catalogue' and 'tracks'")

    def place(where: Path_) -> Place:
        return Place(path, document.line(where), dotted(where))

    written = dict(document.value)
    rows = written.pop("tracks", None)
    header = _header(written | options.given(), place, (*HEADER_KEYS, "tracks"))
    if not isinstance(rows, list) or not rows:
        raise OrderError(place(("tracks",)), "needed: a list of at least one track")
    tracks = []
    for index, row in enumerate(rows):

        def within(where: Path_, index: int = index) -> Place:
            return place(("tracks", index, *where))

        if not isinstance(row, dict):
            raise OrderError(within(()), "a track is a mapping with 'prompt' or 'prompts_from'")
        tracks.append(_track(row, header, path, within, inputs))
    told = [name for name in ("model", "kind") if name in written and name not in options.given()]
    return header, tuple(tracks), {name: place((name,)) for name in told}


def _rows_header(path: Path, options: OrderOptions) -> WrittenHeader:
    given: dict[str, Any] = {}
    if CATALOGUE_NAME.fullmatch(path.stem):
        given["catalogue"] = path.stem
    return _header(given | options.given(), lambda where: Place(path, None, dotted(where)), HEADER_KEYS)


def _read_rows(path: Path, header: WrittenHeader, inputs: InputFiles) -> Iterator[Track]:
    """Yield the tracks of a CSV or JSONL file, each checked by itself."""
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else read_jsonl_rows(path)
    empty = True
    for line, row in rows:
        empty = False

        def place(where: Path_, line: int = line) -> Place:
            return Place(path, line, dotted(where))

        yield _track(row, header, path, place, inputs)
    if empty:
        raise OrderError(Place(path), "empty; an order has at least one track")


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    known = [name for name in TRACK_KEYS if name != "matrix"]
    for line, row in read_csv_rows(path):
        for name in row:
            if name not in known:
                raise OrderError(Place(path, 1, name), unknown_key(name, known))
        yield line, {name: _cell(name, text) for name, text in row.items() if text.strip()}


def _cell(name: str, text: str) -> Any:
    """Give a cell the type its column has; what does not fit stays text and is refused with its name."""
    if name in _LIST:
        return [part.strip() for part in text.split(";")]
    try:
        return int(text) if name in _WHOLE else float(text) if name in _NUMBER else text
    except ValueError:
        return text


def _header(given: Mapping[str, Any], place: Callable[[Path_], Place], known: Iterable[str]) -> WrittenHeader:
    try:
        return WrittenHeader.model_validate(given)
    except ValidationError as error:
        where, problem = explain(error, known)
        raise OrderError(place(where), problem) from None


def _track(
    row: Mapping[str, Any],
    header: WrittenHeader,
    order: Path,
    place: Callable[[Path_], Place],
    inputs: InputFiles,
) -> Track:
    try:
        written = WrittenTrack.model_validate(row)
    except ValidationError as error:
        where, problem = explain(error, TRACK_KEYS, KEYS_BELOW)
        raise OrderError(place(where), problem) from None
    _check_together(written, place)
    source = None
    if written.prompts_from is not None:
        source = parse_source(written.prompts_from, order.parent, place(("prompts_from",)))
    matrix = () if written.matrix is None else tuple((name, tuple(values)) for name, values in written.matrix.items())
    if written.prompt is not None and (matrix or "{" in written.prompt):
        check_template(written.prompt, matrix, place)
    prompt, duration_s = written.prompt, header.duration_s if written.duration_s is None else written.duration_s
    controls = {name: value for name in SCORE_CONTROLS if (value := getattr(written, name)) is not None}
    if written.story is not None:
        if written.story[-1].at_s >= duration_s:
            raise OrderError(place(("story",)), f"its last section begins after the end, at {duration_s:g} s")
        if duration_s - written.story[-1].at_s < SHORTEST_SECTION_S:
            raise OrderError(place(("story",)), f"its last section lasts less than {SHORTEST_SECTION_S:g} s")
        controls["story"] = [section.model_dump() for section in written.story]
        prompt = " / ".join(section.prompt for section in written.story)
    if written.accompany is not None:
        asked = written.accompany
        vocals = inputs.recording(order.parent / asked.vocals, VOICE, place(("accompany",)))
        controls["accompany"] = {
            "vocals": vocals.digest, "separate": asked.separate, "balance_db": asked.balance_db
        }  # fmt: skip
        duration_s = round(vocals.duration_s, 3) if written.duration_s is None else written.duration_s
        prompt = NO_WORDS if source is None and prompt is None else prompt
    if written.melody is not None:
        controls[MELODY] = inputs.recording(order.parent / written.melody, TUNE, place((MELODY,))).digest
    return Track(
        place=place(()),
        prompt=prompt,
        source=source,
        sample=written.sample,
        count=written.count,
        seed=written.seed,
        duration_s=duration_s,
        matrix=matrix,
        controls=controls,
    )


def _check_together(written: WrittenTrack, place: Callable[[Path_], Place]) -> None:
    if written.story is not None and (written.prompt is not None or written.prompts_from is not None):
        raise OrderError(
            place(("story",)), "a track has 'story' or a prompt, not both: the story's sections are prompts"
        )
    if written.story is not None and written.accompany is not None:
        raise OrderError(place(("story",)), "an accompaniment follows its vocals; it has no story")
    if written.melody is not None and written.accompany is not None:
        raise OrderError(place((MELODY,)), "an accompaniment follows its vocals; it has no melody")
    if (
        written.prompt is None
        and written.prompts_from is None
        and written.story is None
        and written.accompany is None
    ):
        if written.melody is not None:
            raise OrderError(place((MELODY,)), "needs a prompt beside it, which says what plays it")
        raise OrderError(place(()), "a track needs 'prompt', 'prompts_from', 'story' or 'accompany'")
    if written.prompt is not None and written.prompts_from is not None:
        raise OrderError(place(("prompts_from",)), "a track has 'prompt' or 'prompts_from', not both")
    if written.sample is not None and written.prompts_from is None:
        raise OrderError(place(("sample",)), "goes with 'prompts_from'; to make a prompt often use 'count'")
    if written.matrix is not None and written.prompt is None:
        raise OrderError(place(("matrix",)), "goes with 'prompt'")
    if written.seed is not None and written.seed + written.count > 2**SEED_BITS:
        raise OrderError(place(("seed",)), f"with 'count' it runs past the last seed, {2**SEED_BITS - 1}")


def _check_tracks(
    tracks: Iterable[Track], first_uses: dict[str, Place], without: list[Place]
) -> tuple[int, dict[str, Any]]:
    """Go through everything once; note where controls are first used, and a first track without vocals.

    Returns:
        How many pieces are asked for, and what a run keeps of the tracks.
    """
    items = number = 0
    listed: list[dict[str, Any]] = []
    for track in tracks:
        for name in track.controls:
            first_uses.setdefault(name, track.place)
        if not without and "accompany" not in track.controls:
            without.append(track.place)
        prompts = 1 if track.source is None else check_source(track.source, track.sample, track.place)
        for _, values in track.matrix:
            prompts *= len(values)
        items += prompts * track.count
        if items > MAX_COUNT:
            raise OrderError(track.place, f"asks for more than {MAX_COUNT:,} items with what comes before")
        number += 1
        if number <= _RECORDED_TRACKS:
            listed.append(_record(track))
    return items, {"track_count": number} | ({"tracks": listed} if number <= _RECORDED_TRACKS else {})


def _record(track: Track) -> dict[str, Any]:
    source = None if track.source is None else {"file": track.source.path.name, "field": track.source.field}
    every = {
        "prompt": track.prompt,
        "prompts_from": source,
        "sample": track.sample,
        "count": track.count,
        "seed": track.seed,
        "duration_s": track.duration_s,
        "matrix": {name: list(values) for name, values in track.matrix},
    }
    return {name: value for name, value in every.items() if value not in (None, {})} | dict(track.controls)
