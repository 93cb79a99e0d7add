"""What a user may write in an order: keys, types and limits."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from flows.kinds import Kind
from flows.recipe import SEED_BITS
from models.generator import MELODY
from models.key import parse_key
from models.score.controls import METRES, TEXTURES, ControlError, check_instruments, check_tempo
from models.score.instruments import INSTRUMENTS

MAX_PROMPT_CHARS: Final = 2_000
MIN_DURATION_S: Final = 1.0
MAX_DURATION_S: Final = 900.0
MAX_COUNT: Final = 10_000_000
DEFAULT_DURATION_S: Final = 30.0
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")  # NUL, and halves of characters
CATALOGUE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def clean_prompt(text: str) -> str:
    """Return a prompt without outer blanks, in Unicode's composed form: what two editors write alike is alike.

    Raises:
        ValueError: nothing is left, it is too long, or it has characters that no text has.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if not text:
        raise ValueError("empty; say in words what to make")
    if len(text) > MAX_PROMPT_CHARS:
        raise ValueError(f"{len(text)} characters; a prompt has at most {MAX_PROMPT_CHARS}")
    return _plain(text)


def _plain(text: str) -> str:
    if _NO_TEXT.search(text):
        raise ValueError("has a NUL character or half a character; write plain text")
    return text


def _file_name(text: str) -> str:
    if not text.strip():
        raise ValueError("empty; name a file, relative to the order")
    return _plain(text)


def _duration(value: float) -> float:
    if not MIN_DURATION_S <= value <= MAX_DURATION_S:  # also catches NaN
        raise ValueError(f"{value:g} is outside {MIN_DURATION_S:g} to {MAX_DURATION_S:g} seconds")
    return float(value)


def _catalogue(value: str) -> str:
    if not CATALOGUE_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no catalogue name; use up to 80 letters, digits, '.', '_' and '-'")
    return value


def _matrix_value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is neither a word nor a number; put it in quotes")  # noqa: TRY004
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number to put into a prompt")
    return _plain(str(value))


def _metre(value: str) -> str:
    if value not in METRES:
        raise ControlError(f"metre {value!r} is not known; one of: {', '.join(METRES)}")
    return value


def _texture(value: str) -> str:
    if value not in TEXTURES:
        raise ControlError(f"texture {value!r} is not known; one of: {', '.join(TEXTURES)}")
    return value


def _tempo(value: int) -> int:
    check_tempo(value)
    return value


def _instruments(names: list[str]) -> list[str]:
    """Check and put into score order: the order in which a user names them makes no other piece."""
    check_instruments(tuple(names))
    return sorted(names, key=list(INSTRUMENTS).index)


Prompt = Annotated[str, AfterValidator(clean_prompt)]
Seed = Annotated[int, Field(ge=0, lt=2**SEED_BITS)]
Duration = Annotated[float, AfterValidator(_duration)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
SHORTEST_SECTION_S = 1.0  # of a story
FileName = Annotated[str, AfterValidator(_file_name)]  # relative to the order


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WrittenSection(_Written):
    """One entry of `story`: what is heard from a time on."""

    at_s: Annotated[float, Field(ge=0, le=MAX_DURATION_S)]
    prompt: Prompt


def _story(sections: list[WrittenSection]) -> list[WrittenSection]:
    if not sections or sections[0].at_s != 0:
        raise ValueError("begins with a section at_s: 0")
    if any(b.at_s <= a.at_s for a, b in pairwise(sections)):
        raise ValueError("sections go on in time: each at_s is later than the one before")
    if any(b.at_s - a.at_s < SHORTEST_SECTION_S for a, b in pairwise(sections)):
        raise ValueError(f"each section lasts {SHORTEST_SECTION_S:g} s or more")
    return sections


class WrittenAccompany(_Written):
    """`accompany` in full: a file with vocals and how it is to be used."""

    vocals: FileName
    separate: bool = False
    balance_db: Annotated[float, Field(ge=-24, le=24)] = -3.0


def _accompany(value: Any) -> Any:
    """Take the name of a file for a mapping of it."""
    return {"vocals": value} if isinstance(value, str) else value


class WrittenTrack(_Written):
    """One entry of `tracks`, one row of a CSV, one line of a JSONL."""

    prompt: Prompt | None = None
    prompts_from: str | None = None
    story: Annotated[list[WrittenSection], AfterValidator(_story)] | None = None
    accompany: Annotated[WrittenAccompany, BeforeValidator(_accompany)] | None = None
    melody: FileName | None = None
    sample: Count | None = None
    count: Count = 1
    seed: Seed | None = None
    duration_s: Duration | None = None
    matrix: dict[str, Annotated[list[Annotated[str, BeforeValidator(_matrix_value)]], Field(min_length=1)]] | None = (
        None
    )
    key: Annotated[str, AfterValidator(lambda text: parse_key(text).name)] | None = None
    metre: Annotated[str, AfterValidator(_metre)] | None = None
    tempo_bpm: Annotated[int, AfterValidator(_tempo)] | None = None
    instruments: Annotated[list[str], AfterValidator(_instruments)] | None = None
    texture: Annotated[str, AfterValidator(_texture)] | None = None


class WrittenHeader(_Written):
    """What holds for the whole order: its keys but `tracks`, or the options of the command."""

    catalogue: Annotated[str, AfterValidator(_catalogue)]
    model: Annotated[str, Field(min_length=1)] | None = None
    kind: Kind | None = None
    seed: Seed = 0
    duration_s: Duration = DEFAULT_DURATION_S


SCORE_CONTROLS: Final = ("key", "metre", "tempo_bpm", "instruments", "texture")
SOUNDSCAPE_CONTROLS: Final = ("story", MELODY)
ACCOMPANIMENT_CONTROLS: Final = ("accompany",)
TRACK_KEYS: Final = tuple(WrittenTrack.model_fields)
KEYS_BELOW: Final[Mapping[str | int, tuple[str, ...]]] = {  # keys in what a key of a track holds
    "story": tuple(WrittenSection.model_fields),
    "accompany": tuple(WrittenAccompany.model_fields),
}
HEADER_KEYS: Final = tuple(WrittenHeader.model_fields)
