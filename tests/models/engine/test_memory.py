"""How many slots memory has room for."""

import pytest

from models.engine.backend import CacheSize
from models.engine.memory import free_bytes, slots_within
from models.engine.requests import EngineError
from models.transformer import TrunkConfig

CONFIG = TrunkConfig(layers=24, width=1024, heads=16, feed_forward=4096, cross_attention=True)
SIZE = CacheSize(slots=16, length=1536, positions=1536, memory=256)
ONE_BYTES = 2 * 24 * (1536 + 256) * 1024 * 2


def test_no_more_slots_are_made_than_fit_and_pairs_are_kept_whole() -> None:
    assert slots_within(100 * ONE_BYTES, SIZE, CONFIG, 2) == 16
    assert slots_within(7.9 * ONE_BYTES, SIZE, CONFIG, 2) == 7
    assert slots_within(7.9 * ONE_BYTES, SIZE, CONFIG, 2, rows=2) == 6
    assert slots_within(7.9 * ONE_BYTES, SIZE, CONFIG, 4) == 3


def test_memory_for_less_than_one_sequence_is_refused_with_both_sizes() -> None:
    with pytest.raises(EngineError, match="takes 336 MB, 168 MB are there"):
        slots_within(ONE_BYTES, SIZE, CONFIG, 2, rows=2)


def test_free_memory_is_told() -> None:
    assert free_bytes("cpu") > 2**20
