"""What is known of a version before it is loaded."""

import pytest
import tiny_musiclm

from models.registry import find_version, follows_melody
from models.weights import UnknownModelError


@pytest.mark.parametrize(
    ("says", "follows"), [({}, False), ({"follows_melody": False}, False), ({"follows_melody": True}, True)]
)
def test_a_musiclm_says_itself_whether_it_follows_melodies(tmp_path, says, follows):
    assert follows_melody(tiny_musiclm.version(tmp_path, **says)) == follows


@pytest.mark.parametrize("name", ["score-small", "singsong-small"])
def test_drafts_of_scores_and_accompaniments_follow_no_melody(name):
    assert not follows_melody(find_version(name, []))


def test_a_name_means_the_version_that_supersedes_the_others_and_those_keep_their_digests(tmp_path):
    first = tiny_musiclm.version(tmp_path / "first")
    second = tiny_musiclm.version(tmp_path / "second", seed=1, supersedes=[first.digest])
    assert find_version("musiclm-tiny", [tmp_path]).digest == second.digest
    assert find_version(first.reference, [tmp_path]).digest == first.digest
    tiny_musiclm.version(tmp_path / "third", seed=2)
    with pytest.raises(UnknownModelError, match="more than one version"):
        find_version("musiclm-tiny", [tmp_path])
