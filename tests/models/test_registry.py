"""What is known of a version before it is loaded."""

import pytest
import tiny_musiclm

from models.registry import find_version, follows_melody


@pytest.mark.parametrize(
    ("says", "follows"), [({}, False), ({"follows_melody": False}, False), ({"follows_melody": True}, True)]
)
def test_a_musiclm_says_itself_whether_it_follows_melodies(tmp_path, says, follows):
    assert follows_melody(tiny_musiclm.version(tmp_path, **says)) == follows


@pytest.mark.parametrize("name", ["score-small", "singsong-small"])
def test_drafts_of_scores_and_accompaniments_follow_no_melody(name):
    assert not follows_melody(find_version(name, []))
