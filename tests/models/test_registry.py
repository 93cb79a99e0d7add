"""What is known of a version before it is loaded."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import tiny_musiclm

from models.registry import add_version, find_version, follows_melody, list_versions
from models.weights import UnknownModelError, folder_name


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


def test_what_a_killed_command_had_copied_is_no_version(tmp_path):
    made = tiny_musiclm.version(tmp_path / "made")
    folder = tmp_path / "models"
    added = add_version(made, folder)
    for name, left in ((".12345678", ()), (".9abcdef0", ("model.safetensors", "card.md"))):
        partial = folder / f".{added.path.name}{name}"
        shutil.copytree(made.path, partial)
        for file in left:
            (partial / file).unlink()
    assert [each.path for each in list_versions([folder]) if each.name == "musiclm-tiny"] == [added.path]
    assert find_version("musiclm-tiny", [folder]).path == added.path


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path):
    made = tiny_musiclm.version(tmp_path / "made")
    (made.path / "elsewhere").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="elsewhere"):
        add_version(made, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_that_several_add_at_once_is_added_once_and_all_are_told_so(tmp_path):
    made, folder = tiny_musiclm.version(tmp_path / "made"), tmp_path / "models"
    (made.path / "notes").write_bytes(bytes(1 << 24))  # so that nobody is done before the others have begun
    begun = Barrier(4)

    def add(_):
        begun.wait()
        return add_version(made, folder)

    with ThreadPoolExecutor(4) as threads:
        added = list(threads.map(add, range(4)))
    assert {each.path for each in added} == {folder / folder_name(made)}
    assert [path.name for path in folder.iterdir()] == [folder_name(made)]
