"""Training: what is interrupted goes on as if it had not been."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from models.score.controls import METRES
from models.score.corpus import CorpusError, Passage, Source, Staff, held_out, load_passages, read_passages, sources
from models.score.key import find_key, pitch_class_weights
from models.score.training import ScoreTrainingConfig, place, scored, split, train
from models.score.trigram import Trigram
from models.score.vocabulary import VOCABULARY

TINY = ScoreTrainingConfig(
    layers=1, width=16, heads=2, feed_forward=32, length=96, batch=2, steps=12, warmup=2, evaluate_every=6,
    checkpoint_every_s=0.0,
)  # fmt: skip


class StoppedError(Exception):
    """The machine went away."""


def passages() -> list[Passage]:
    scale = [(n * 12, 12, 60 + (0, 2, 4, 5, 7, 9, 11)[n % 7]) for n in range(32)]
    bass = [(n * 48, 48, 48 + 5 * (n % 2)) for n in range(8)]
    names = ["x", "y", next(f"c{n}" for n in range(999) if held_out(f"c{n}"))]
    return [
        Passage(f"{name}.mxl", name, "4/4", 8, 90.0, True, True, [Staff("line", scale), Staff("line", bass)])
        for name in names
    ]


def quietly(name: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    pass


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_an_interrupted_training_goes_on_with_identical_losses(tmp_path: Path) -> None:
    whole = train(TINY, passages(), tmp_path / "whole", report=quietly)

    def stop_at_seven(name: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if done == 7:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(TINY, passages(), tmp_path / "parts", report=stop_at_seven)
    resumed = train(TINY, passages(), tmp_path / "parts", report=quietly)
    parts = {json.loads(line)["step"]: json.loads(line)["loss"] for line in (tmp_path / "parts/metrics.jsonl").open()}
    assert [parts[n] for n in range(1, 13)] == losses(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_training_learns(tmp_path: Path) -> None:
    config = ScoreTrainingConfig(
        layers=1, width=32, heads=2, feed_forward=64, length=96, batch=4, steps=60, warmup=5, learning_rate=1e-2
    )
    train(config, passages(), tmp_path, report=quietly)
    assert losses(tmp_path)[-1] < 0.5 * losses(tmp_path)[0]
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["validation"] < losses(tmp_path)[0]


def test_a_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    train(TINY, passages(), tmp_path, report=quietly)
    other = ScoreTrainingConfig(layers=2, width=16, heads=2, feed_forward=32)
    with pytest.raises(ValueError, match=r"another configuration.*layers"):
        train(other, passages(), tmp_path, report=quietly)


def test_bars_are_placed_further_along_and_headers_stay() -> None:
    bar, staff = VOCABULARY.token("bar", "open"), VOCABULARY.staff("line", 60)
    tokens = torch.tensor([[VOCABULARY.begin, staff, bar, staff, bar]])
    assert place(tokens, torch.tensor([100])).tolist() == [[0, 1, 102, 103, 104]]
    padded = torch.tensor([[VOCABULARY.begin, staff, bar, staff, VOCABULARY.pad]])
    assert scored(padded).tolist() == [[False, True, True, False]]


def test_no_composer_is_on_both_sides() -> None:
    training, validation = split(passages())
    assert {p.composer for p in training} == {"x", "y"}
    assert len(validation) == 1


def test_a_trigram_sums_to_one_and_prefers_what_it_saw() -> None:
    trigram = Trigram(5)
    trigram.learn([[1, 2, 3, 1, 2, 3, 1, 2, 4]])
    for context in ((), (2,), (1, 2), (4, 4)):
        assert sum(trigram.probability(token, context) for token in range(5)) == pytest.approx(1.0)
    assert trigram.probability(3, (1, 2)) > trigram.probability(4, (1, 2)) > trigram.probability(0, (1, 2))
    assert trigram.negative_log_likelihood([([1, 2, 3], 1)]) < trigram.negative_log_likelihood([([1, 4, 0], 1)])


def test_a_real_score_is_cut_into_passages_in_its_key() -> None:
    import music21

    path = Path(music21.__file__).parent / "corpus" / "bach" / "bwv66.6.mxl"
    found = list(read_passages(Source(str(path), "bach", "music21", "public domain")))
    assert found
    for passage in found:
        assert passage.metre == "4/4"
        assert len(passage.staves) == 4
        end = passage.bars * METRES[passage.metre]
        for staff in passage.staves:
            assert all(0 <= o < o + d <= end for o, d, _ in staff.notes)
            assert all(a[0] + a[1] <= b[0] for a, b in pairwise(staff.notes))
    notes = [(p, d) for passage in found for staff in passage.staves for _, d, p in staff.notes]
    assert find_key(pitch_class_weights(notes))[0].name == "F# minor"


def test_missing_material_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="openscore-lieder"):
        sources(tmp_path)
    with pytest.raises(CorpusError, match="prepare the corpus"):
        load_passages(tmp_path)
