"""The shipped score model, from prompt to files."""

import io
from collections.abc import Iterable

import mido
import numpy as np
import pytest
import rfc8785
import soundfile

from models.generator import GenerationError, Generator, Json, Product
from models.registry import find_version, load_generator
from models.score.evaluation import judge

PROMPTS = (
    "calm piece for string quartet in D minor, 3/4 time",
    "joyful flute and piano in G major, 6/8 time",
    "solo cello, sombre, in C minor, 4/4 time",
)
ASKED = (
    ("D minor", "3/4", ("violin", "violin", "viola", "cello")),
    ("G major", "6/8", ("flute", "piano")),
    ("C minor", "4/4", ("cello",)),
)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator(find_version("score-small", []), slots=4)


def recipe(n: int) -> dict[str, Json]:
    return {"prompt": PROMPTS[n], "seed": 11 + n, "duration_s": 6.0, "controls": {}}


def make(generator: Generator, numbers: Iterable[int]) -> dict[int, Product]:
    for n in numbers:
        generator.admit(str(n), recipe(n))
    waiting, made = set(numbers), {}
    while waiting:
        for outcome in generator.advance():
            assert not isinstance(outcome.result, GenerationError)
            made[int(outcome.key)] = generator.finish(outcome.result)
            waiting.discard(int(outcome.key))
    return made


def contents(product: Product) -> dict[str, bytes]:
    return {file.role: file.data for file in product.files}


@pytest.fixture(scope="module")
def products(generator: Generator) -> dict[int, Product]:
    return make(generator, range(3))


@pytest.mark.parametrize("n", range(3))
def test_a_draft_has_the_metre_instruments_and_range_asked_for(products: dict[int, Product], n: int) -> None:
    judged = judge(PROMPTS[n], ASKED[n], products[n])
    assert (judged.metre, judged.instruments, judged.in_range, judged.clean) == (True, True, True, True)


@pytest.mark.parametrize("n", range(3))
def test_a_draft_lasts_about_as_long_as_asked_and_can_be_heard(products: dict[int, Product], n: int) -> None:
    files = contents(products[n])
    assert products[n].duration_s == pytest.approx(6.0, abs=2.0)
    audio, rate = soundfile.read(io.BytesIO(files["preview"]))
    assert rate == 48_000
    assert 0.01 < np.abs(audio).max() < 1.0
    assert mido.MidiFile(file=io.BytesIO(files["midi"])).length == pytest.approx(products[n].duration_s, abs=1.5)
    assert files["pdf"].startswith(b"%PDF")
    assert files["page"].count(b"<use") > 10  # glyphs


def test_the_same_recipe_gives_the_same_files_alone(generator: Generator, products: dict[int, Product]) -> None:
    alone = make(generator, [1])[1]
    assert contents(alone) == contents(products[1])


def test_each_stage_begins_with_what_an_earlier_one_made(products: dict[int, Product]) -> None:
    stages = {stage.name: stage for stage in products[0].stages}
    assert list(stages) == ["read", "compose", "notate", "engrave", "preview"]
    assert stages["compose"].input_digest == stages["read"].output_digest
    assert stages["notate"].input_digest == stages["compose"].output_digest
    assert stages["engrave"].input_digest == stages["notate"].output_digest
    assert stages["preview"].input_digest == stages["notate"].detail["midi"]
    assert all(stage.output_digest.startswith("sha256:") for stage in stages.values())


def test_the_lineage_says_how_the_words_were_read_and_is_plain_json(products: dict[int, Product]) -> None:
    attributes = products[0].attributes
    assert rfc8785.dumps(attributes)
    assert attributes["controls"]["key"] == "D minor"
    assert attributes["controls"]["instruments"] == ["violin", "violin", "viola", "cello"]
    assert "string quartet" in str(attributes["reading"])


@pytest.mark.parametrize(
    "broken", [{"prompt": "   "}, {"controls": {"key": "H minor"}}, {"controls": {"colour": "red"}}, {"seed": None}]
)
def test_a_recipe_that_makes_no_score_fails_alone(generator: Generator, broken: dict[str, Json]) -> None:
    with pytest.raises(GenerationError, match="makes no score"):
        generator.admit("bad", recipe(0) | broken)
    assert make(generator, [2])


Kept = dict[str, tuple[int, tuple[int, ...]]]


def violin(seed: int) -> dict[str, Json]:
    return {"prompt": "bright solo violin", "seed": seed, "duration_s": 6.0, "controls": {}}


def kept_of(generator: Generator, number: int) -> Kept:
    """Which take was kept of each of so many pieces, and its tokens."""
    made: Kept = {}
    while len(made) < number:
        for outcome in generator.advance():
            made[outcome.key] = outcome.result.take, outcome.result.completion.tokens
    return made


def compose(generator: Generator, *seeds: int) -> Kept:
    for seed in seeds:
        generator.admit(str(seed), violin(seed))
    return kept_of(generator, len(seeds))


def test_the_take_that_is_kept_does_not_depend_on_idle_slots(generator: Generator) -> None:
    single = load_generator(find_version("score-small", []), slots=1)
    seeds = (5, 8, 13, 14)  # what is kept of these is not the first take, or the last for want of a better one
    crowded = compose(generator, *seeds)
    assert all(take > 0 for take, _ in crowded.values())
    for seed in seeds:
        assert compose(generator, seed)[str(seed)] == crowded[str(seed)]
        assert compose(single, seed)[str(seed)] == crowded[str(seed)]


def test_a_new_piece_gets_the_slots_of_takes_that_may_not_be_needed(generator: Generator) -> None:
    alone = compose(generator, 8)
    generator.admit("8", violin(8))
    generator.advance()
    assert generator._engine.busy > 1
    for seed in (1, 2, 3):
        generator.admit(str(seed), violin(seed))
        assert generator._engine.busy <= generator.slots
    assert kept_of(generator, 4)["8"] == alone["8"]
