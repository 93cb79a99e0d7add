"""Takes of a long piece are chosen by how well they hold as well."""

import numpy as np
import tiny_musiclm
import torch

from models.musiclm.steadiness import ends_of, hear, is_long, steadiness
from models.registry import load_generator

RATE = 16_000


def steady(first_T, later_T, mulan):
    return steadiness(hear(first_T, mulan), hear(later_T, mulan))


def tone(hertz, seconds):
    return 0.2 * torch.sin(2 * np.pi * hertz * torch.arange(seconds * RATE) / RATE)


def test_the_same_throughout_is_steady_and_another_level_or_sound_is_less_so():
    mulan = tiny_musiclm.model().mulan
    same = steady(tone(220, 30), tone(220, 30), mulan)
    quieter = steady(tone(220, 30), 0.25 * tone(220, 30), mulan)
    noise = 0.14 * torch.randn(30 * RATE, generator=torch.Generator().manual_seed(0))
    other = steady(tone(220, 30), noise, mulan)
    assert 0.9 < same <= 1.0 + 1e-6
    assert quieter < same - 0.9  # 12 dB
    assert other < same - 0.05


def test_silence_at_the_end_is_as_unsteady_as_can_be_counted():
    found = steady(tone(220, 30), torch.zeros(30 * RATE), tiny_musiclm.model().mulan)
    assert np.isfinite(found)
    assert found < -5


def test_of_a_long_piece_the_take_is_kept_that_is_like_its_words_and_steady(tmp_path):
    version = tiny_musiclm.version(tmp_path / "version", steadiness_weight=0.5)
    chosen = {}
    for seconds in (59, 61):
        generator = load_generator(version, slots=1)
        controls = {"prompt": "rain", "seed": 1, "duration_s": float(seconds), "controls": {}}
        generator.admit("a", controls)
        outcomes = []
        while not outcomes:
            outcomes = list(generator.advance())
        product = generator.finish(outcomes[0].result)
        chosen[seconds] = next(stage.detail["legs"][0] for stage in product.stages if stage.name == "decode")
    assert "steadiness_of_takes" not in chosen[59]
    rows = chosen[61]
    worths = np.array(rows["likeness_of_takes"]) + 0.5 * np.array(rows["steadiness_of_takes"])
    assert rows["take"] == worths.argmax()
    assert len(set(rows["steadiness_of_takes"])) == 2


def test_a_piece_is_long_from_two_parts_on():
    assert is_long(60 * RATE, RATE)
    assert not is_long(60 * RATE - 1, RATE)
    first, last = ends_of(torch.arange(70 * RATE), RATE)
    assert (first[0], len(first), last[-1], len(last)) == (0, 30 * RATE, 70 * RATE - 1, 30 * RATE)
