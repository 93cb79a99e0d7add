"""Which version an order gets that names none."""

import pytest
import tiny_musiclm

from flows.model_choice import newest


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_of_versions_of_one_day_it_is_never_the_superseded_one(tmp_path, seed):
    first = tiny_musiclm.version(tmp_path / "first")
    second = tiny_musiclm.version(tmp_path / "second", seed=seed, supersedes=[first.digest])
    assert newest([first, second]) == newest([second, first]) == second
