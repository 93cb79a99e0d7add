"""Where prompts come from: templates filled from a matrix, and columns of other files."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.errors import OrderError, Place
from flows.files import problem_with
from flows.order_schema import clean_prompt
from flows.rows import read_csv_rows, read_jsonl_rows
from flows.yaml_lines import Path_

Matrix = tuple[tuple[str, tuple[str, ...]], ...]
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """A column of a CSV file or a field of a JSONL file."""

    path: Path
    field: str


def parse_source(text: str, folder: Path, place: Place) -> PromptSource:
    """Read "captions.csv#caption", with the path relative to `folder`.

    Raises:
        OrderError: there is no '#', no such file, or it is neither a CSV nor a JSONL.
    """
    name, _, field = text.rpartition("#")
    path = folder / name
    if not name or not field or path.suffix.lower() not in (".csv", ".jsonl"):
        raise OrderError(place, f"{text!r} is not of the form file.csv#column or file.jsonl#field")
    if (problem := problem_with(path)) is not None:
        raise OrderError(place, f"{path}: {problem}")
    return PromptSource(path, field)


def read_prompts(source: PromptSource) -> Iterator[str]:
    """Yield the prompts of a source, in the file's order.

    Raises:
        OrderError: the file cannot be read, lacks the column, or a prompt cannot be used.
    """
    rows = read_csv_rows(source.path) if source.path.suffix.lower() == ".csv" else read_jsonl_rows(source.path)
    for line, row in rows:
        place = Place(source.path, line, source.field)
        if source.field not in row:
            raise OrderError(place, f"no such column or field; this line has: {', '.join(row)}")
        text = row[source.field]
        if not isinstance(text, str):
            raise OrderError(place, f"must be text, not {text!r}")
        try:
            yield clean_prompt(text)
        except ValueError as error:
            raise OrderError(place, str(error)) from None


def check_source(source: PromptSource, sample: int | None, place: Place) -> int:
    """Read a source once and return how many prompts will be taken from it.

    Raises:
        OrderError: a prompt cannot be read, there are none, or fewer than `sample`.
    """
    found = sum(1 for _ in read_prompts(source))
    if not found:
        raise OrderError(place, f"{source.path}: has no prompts")
    if sample is not None and sample > found:
        raise OrderError(place, f"sample {sample} is more than the {found} prompts of {source.path.name}")
    return found if sample is None else sample


def draw(source: PromptSource, sample: int | None, seed: int) -> Iterator[str]:
    """Yield all prompts of a source, or `sample` of them, chosen by seed and text.

    Every prompt has a rank of its own, a hash of the seed and its text, and the lowest ranks are taken. So the
    choice does not depend on the order of the file's lines, and a longer file changes little of it.
    """
    if sample is None:
        yield from read_prompts(source)
        return
    seen: Counter[str] = Counter()
    ranked = heapq.nsmallest(sample, _ranks(read_prompts(source), seed, seen))
    for _, _, text in sorted(ranked, key=lambda entry: entry[1]):
        yield text


def _ranks(prompts: Iterator[str], seed: int, seen: Counter[str]) -> Iterator[tuple[bytes, int, str]]:
    for place, text in enumerate(prompts):
        digest = hashlib.sha256(f"{seed}\n{seen[text]}\n{text}".encode()).digest()
        seen[text] += 1
        yield digest, place, text


def check_template(prompt: str, matrix: Matrix, place: Callable[[Path_], Place]) -> None:
    """See that the names of a matrix and the {names} of its prompt are the same.

    Raises:
        OrderError: a name is missing on either side, or a filled prompt would be too long.
    """
    wanted = set(_PLACEHOLDER.findall(prompt))
    for name, _ in matrix:
        if name not in wanted:
            raise OrderError(place(("matrix", name)), f"the prompt has no {{{name}}} to fill")
    for name in sorted(wanted - {name for name, _ in matrix}):
        raise OrderError(place(("prompt",)), f"{{{name}}} has no values; give them under 'matrix'")
    longest = fill_one(prompt, {name: max(values, key=len) for name, values in matrix})
    shortest = fill_one(prompt, {name: min(values, key=lambda v: len(v.strip())) for name, values in matrix})
    for text in (longest, shortest):
        try:
            clean_prompt(text)
        except ValueError as error:
            raise OrderError(place(("matrix",)), str(error)) from None


def fill_one(prompt: str, values: dict[str, str]) -> str:
    """Return the prompt with every {name} replaced; what a value brings in is not filled again."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), prompt)


def fill(prompt: str, matrix: Matrix) -> Iterator[str]:
    """Yield the prompt for every combination of the matrix' values."""
    if not matrix:
        yield prompt
        return
    names = [name for name, _ in matrix]
    for combination in itertools.product(*(values for _, values in matrix)):
        yield clean_prompt(fill_one(prompt, dict(zip(names, combination, strict=True))))
