"""Parts of an evaluation that need no judge, by a tiny model."""

import pytest
import tiny_musiclm

from models.musiclm.evaluation import QUICK, Evaluation, make
from models.registry import load_generator


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return tiny_musiclm.version(tmp_path_factory.mktemp("version"), takes=1)


def test_pieces_are_made_of_words_alone_and_come_in_order(version):
    recipes = [
        {"prompt": "a flute", "seed": 1, "duration_s": duration_s, "controls": {}} for duration_s in (1.0, 0.5)
    ]
    made = make(load_generator(version, slots=1), recipes, lambda done, total: None)
    assert [len(wave) for wave in made] == [16_000, 8_000]


def test_a_part_alone_is_in_the_report_and_tells_how_far_it_is(version, tmp_path):
    evaluation = Evaluation(version, tiny_musiclm.clips(tmp_path), QUICK)
    told = []
    evaluation.measure("memorisation", lambda phase, done, total, figures: told.append((phase, done, total)))
    assert evaluation.report.memorisation.items == 8
    assert told[-1] == ("memorisation", 8, 8)
    assert evaluation.report.generation is None
