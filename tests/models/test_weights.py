"""Model versions on disk: addressed by content, refused when damaged."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from models.registry import find_version, list_versions, load_generator
from models.weights import CorruptModelError, UnknownModelError, folder_name, load_into, read_version, write_version

CARD = "---\nname: tiny\nlicence: Apache-2.0\n---\n\n# tiny\n"


def write(folder: Path, name: str = "tiny", **config: object) -> Path:
    tensors = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.zeros(2)}
    write_version(folder, tensors, {"name": name, "kind": "score", **config}, CARD)
    return folder


def test_a_version_is_read_back_with_its_card(tmp_path: Path) -> None:
    version = read_version(write(tmp_path / "a"))
    assert (version.name, version.kind, version.card["licence"]) == ("tiny", "score", "Apache-2.0")
    layer = nn.Linear(3, 2)
    load_into(layer, version, "cpu", torch.float32)
    assert layer.weight.flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_equal_content_has_an_equal_digest_and_the_card_does_not_count(tmp_path: Path) -> None:
    one, other = read_version(write(tmp_path / "a")), read_version(write(tmp_path / "b"))
    (tmp_path / "b" / "card.md").write_text(CARD + "more words\n")
    assert one.digest == other.digest == read_version(tmp_path / "b").digest
    assert one.digest != read_version(write(tmp_path / "c", sampling=1)).digest


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_changed_byte_of_the_weights_is_refused(tmp_path: Path, place: int) -> None:
    version = read_version(write(tmp_path / "a"))
    weights = tmp_path / "a" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[place] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptModelError, match="has digest"):
        load_into(nn.Linear(3, 2), version, "cpu", torch.float32)


def test_an_added_version_whose_files_were_changed_is_refused_by_the_name_of_its_folder(tmp_path: Path) -> None:
    version = read_version(write(tmp_path / "a"))
    added = (tmp_path / "a").rename(tmp_path / folder_name(version))
    assert read_version(added).digest == version.digest
    (added / "config.json").write_text(json.dumps({"name": "tiny", "kind": "score", "sampling": 1}))
    with pytest.raises(CorruptModelError, match="was changed"):
        read_version(added)
    write(tmp_path / "other", name="other")
    assert find_version("other", [tmp_path]).name == "other", "the damage of one is not that of another"
    with pytest.raises(CorruptModelError, match="was changed"):
        find_version(version.reference, [tmp_path])


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    version = read_version(write(tmp_path / "a"))
    for wrong in (nn.Linear(4, 2), nn.Linear(3, 2, bias=False)):
        with pytest.raises(CorruptModelError, match="does not fit"):
            load_into(wrong, version, "cpu", torch.float32)


def test_a_truncated_file_is_refused_even_if_its_digest_is_taken_anew(tmp_path: Path) -> None:
    weights = write(tmp_path / "a") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CorruptModelError, match=r"model\.safetensors"):
        load_into(nn.Linear(3, 2), read_version(tmp_path / "a"), "cpu", torch.float32)


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", "{"), ("config.json", "{}"), ("card.md", "# no front matter"), ("card.md", "---\n- a\n---\n")],
)
def test_a_folder_that_is_no_version_says_which_file(tmp_path: Path, name: str, content: str) -> None:
    (write(tmp_path / "a") / name).write_text(content)
    with pytest.raises(CorruptModelError, match="is not a model version"):
        read_version(tmp_path / "a")


def test_a_name_finds_its_version_and_a_digest_tells_two_apart(tmp_path: Path) -> None:
    first = read_version(write(tmp_path / "a"))
    second = read_version(write(tmp_path / "b", sampling=1))
    with pytest.raises(UnknownModelError, match="more than one version"):
        find_version("tiny", [tmp_path])
    assert find_version(first.reference, [tmp_path]).path == first.path
    assert find_version(second.reference[:20], [tmp_path]).path == second.path
    with pytest.raises(UnknownModelError, match=r"not registered; known: .*tiny"):
        find_version("tinny", [tmp_path])


def test_the_shipped_model_is_whole_and_its_card_names_its_sources() -> None:
    version = find_version("score-small", [])
    assert version in list_versions([])
    generator = load_generator(version, slots=2)
    assert generator.slots == 2
    data = version.card["training_data"]
    assert data["manifest"].startswith("sha256:")
    assert {c["name"]: c["licence"] for c in data["collections"]} == {
        "openscore-lieder": "CC0-1.0",
        "openscore-quartets": "CC0-1.0",
        "music21": "public domain",
    }


def test_an_architecture_of_another_time_is_refused(tmp_path: Path) -> None:
    version = read_version(write(tmp_path / "a", architecture="perceptron"))
    with pytest.raises(UnknownModelError, match="'perceptron'"):
        load_generator(version)


def test_weights_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    config = json.loads((find_version("score-small", []).path / "config.json").read_text())
    write(
        tmp_path / "a", **{k: v for k, v in config.items() if k not in ("name", "kind")} | {"vocabulary": "sha256:0"}
    )
    with pytest.raises(CorruptModelError, match="another vocabulary"):
        load_generator(read_version(tmp_path / "a"))
