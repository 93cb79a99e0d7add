"""MusicGen through our engine, against transformers on the same checkpoint."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from tiny_musicgen import PROMPT, WORDS, save
from transformers import PreTrainedModel

from models.digests import digest_of_bytes
from models.engine.backend import Backend
from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.engine.native.library import runnable
from models.engine.patterns import to_decode
from models.engine.requests import Request
from models.generator import GenerationError, Generator, Json, Product
from models.musicgen.checkpoint import convert, download
from models.musicgen.model import MusicGen, Told, load_model
from models.recording import read_recording
from models.registry import follows_melody, load_generator
from models.weights import CorruptModelError, ModelVersion, UnknownModelError

KINDS = {"mono": {}, "stereo": {"stereo": True}, "melody": {"melody": True}}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def checkpoint(kind: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel]:
    folder = tmp_path_factory.mktemp(kind) / "checkpoint"
    return folder, save(folder, **KINDS[kind])


@pytest.fixture(scope="module")
def version(checkpoint: tuple[Path, PreTrainedModel], tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return convert(checkpoint[0], "tiny", "a test", tmp_path_factory.mktemp("version"))


@pytest.fixture(scope="module")
def model(version: ModelVersion) -> MusicGen:
    return load_model(version, "cpu", torch.float32)


def tokens() -> torch.Tensor:
    return torch.tensor([[*(WORDS.index(word) for word in PROMPT.split()), 1]])


def run(model: MusicGen, told: Told, frames: int, backend: Callable[..., Backend], **changes: object):
    """Return the steps' codes_NK and the conditional row's logits_NKV of each."""
    engine = Engine(model.decoder, slots=2, cache_length=256, memory_length=64, backend=backend)
    seen, step = [], engine.backend.step
    engine.backend.step = lambda feeds, x_RD: seen.append(step(feeds, x_RD).copy()) or seen[-1]
    free_TK = to_decode(np.zeros((0, model.decoder.codebooks), dtype=np.int64), frames)
    asked = {
        "key": "a",
        "conditioning": told.conditioning,
        "unconditional": told.unconditional,
        "guidance_scale": 3.0,
        "given_NK": model.pattern.spread(free_TK),
        "seed": 1,
        "stage": "codes",
    }
    engine.submit(Request(**(asked | changes)))
    done = [completion for _ in range(frames + 40) for completion in engine.step()]
    codes_NK = done[0].codes_NK
    return codes_NK, np.stack([logits_RKV[0] for logits_RKV in seen[-len(codes_NK) :]])


@torch.inference_mode()
def expected_logits(theirs: PreTrainedModel, codes_NK: np.ndarray, **inputs: torch.Tensor) -> np.ndarray:
    """Logits_NKV of transformers for a whole sequence of steps, the start before it."""
    codebooks = codes_NK.shape[1]
    ids = torch.cat((torch.full((codebooks, 1), 64), torch.from_numpy(codes_NK[:-1]).T), dim=1)
    output = theirs(input_ids=tokens(), attention_mask=torch.ones_like(tokens()), decoder_input_ids=ids, **inputs)
    return output.logits.view(codebooks, -1, 64)[:, -len(codes_NK) :].transpose(0, 1).numpy()


BACKENDS = [
    BackendChoice("torch", "float32", 1),
    BackendChoice("torch-packed", "float32", 1),
    pytest.param(BackendChoice("native", "float32", 1), marks=pytest.mark.skipif(not runnable(), reason="not built")),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_of_a_hundred_steps_are_those_of_transformers(
    kind: str, checkpoint: tuple[Path, PreTrainedModel], model: MusicGen, backend: BackendChoice
) -> None:
    told, inputs = model.condition(PROMPT), {}
    if kind == "melody":
        chroma_FC = torch.eye(12)[torch.arange(7) * 5 % 12]
        told, inputs = model.condition(PROMPT, chroma_FC), {"input_features": chroma_FC[None]}
    codes_NK, logits_NKV = run(model, told, 100, backend)
    assert len(codes_NK) == 103
    np.testing.assert_allclose(logits_NKV, expected_logits(checkpoint[1], codes_NK, **inputs), atol=1e-4)


def test_the_likeliest_codes_and_their_waveform_are_those_of_transformers(
    checkpoint: tuple[Path, PreTrainedModel], model: MusicGen
) -> None:
    codes_NK, _ = run(model, model.condition(PROMPT), 12, BACKENDS[0], temperature=0.0)
    codes_TK = model.pattern.gather(codes_NK)
    expected = checkpoint[1].generate(
        input_ids=tokens(), attention_mask=torch.ones_like(tokens()), do_sample=False, guidance_scale=3.0,
        max_new_tokens=len(codes_NK),
    )  # fmt: skip
    assert len({*codes_TK.flatten().tolist()}) > 3
    assert torch.equal(model.decode(torch.from_numpy(codes_TK)), expected[0])


def recipe(n: int, duration_s: float = 2.0) -> dict[str, Json]:
    return {"prompt": PROMPT if n % 2 else "loud drums", "seed": n, "duration_s": duration_s, "controls": {}}


def make(generator: Generator, recipes: dict[str, dict[str, Json]]) -> dict[str, Product]:
    for key, each in recipes.items():
        generator.admit(key, each)
    made: dict[str, Product] = {}
    while len(made) < len(recipes):
        for outcome in generator.advance():
            assert not isinstance(outcome.result, GenerationError)
            made[outcome.key] = generator.finish(outcome.result)
    return made


def test_a_piece_has_its_length_and_channels_and_repeats_in_any_company(kind: str, version: ModelVersion) -> None:

    generator = load_generator(version, slots=3)
    together = make(generator, {str(n): recipe(n) for n in range(4)})
    alone = make(generator, {"2": recipe(2)})["2"]
    assert [file.data for file in alone.files] == [file.data for file in together["2"].files]
    audio, rate = soundfile.read(io.BytesIO(alone.files[0].data))
    assert (len(audio), rate) == (6400, 3200)
    assert (audio.ndim == 2) == (kind == "stereo")
    assert [stage.name for stage in alone.stages] == ["condition", "codes", "decode", "master"]


def test_a_piece_longer_than_a_window_goes_on_from_its_end(version: ModelVersion) -> None:
    made = make(load_generator(version, slots=1), {"a": recipe(1, duration_s=33.0)})["a"]
    assert made.duration_s == 33.0


def test_the_melody_variant_is_told_a_melody_and_the_others_refuse_it(kind: str, version: ModelVersion) -> None:
    file = io.BytesIO()
    tones = np.repeat([440.0, 523.25, 392.0], 22_050)
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * np.cumsum(tones) / 22_050), 22_050, format="WAV")
    sung = recipe(1) | {"controls": {"melody": digest_of_bytes(file.getvalue())}}
    generator, inputs = load_generator(version, slots=2), {"melody": file.getvalue()}
    if kind != "melody":
        with pytest.raises(GenerationError, match="no control 'melody'"):
            generator.admit("a", sung, inputs)
        return
    recording = read_recording(file.getvalue(), "a melody")
    heard = generator._model.chroma(recording).argmax(dim=1)  # the checkpoint's own extractor: classes from C
    assert {9, 0, 7} <= set(heard.tolist())
    generator.admit("with", sung, inputs)
    generator.admit("without", recipe(1))
    conditions = {key: item.condition for key, item in generator._items.items()}
    assert conditions["with"].output_digest != conditions["without"].output_digest
    assert conditions["with"].detail["melody"] == recording.digest


def test_the_melody_variant_alone_is_said_to_follow_melodies(kind: str, version: ModelVersion) -> None:
    assert follows_melody(version) == (kind == "melody")


def test_controls_are_refused(version: ModelVersion) -> None:
    with pytest.raises(GenerationError, match="no control 'key'"):
        load_generator(version, slots=1).admit("a", recipe(1) | {"controls": {"key": "F major"}})


def test_the_profile_has_the_slots_that_memory_had_room_for(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.musicgen.generator.free_bytes", lambda device: 32 * 2**20)
    generator = load_generator(version, slots=500)
    assert 1 <= generator.profile.slots < 100
    assert len(make(generator, {str(n): recipe(n) for n in range(2)})) == 2


def test_a_prompt_longer_than_the_memory_is_refused(kind: str, version: ModelVersion) -> None:
    if kind == "melody":
        pytest.skip("its words are inputs before the codes")
    with pytest.raises(GenerationError, match="too long: a memory of 301 rows"):
        load_generator(version, slots=1).admit("a", recipe(1) | {"prompt": "rain " * 300})


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    save(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def change(folder: Path, changes: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    changes(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_missing_tensor_is_named(broken: Path, tmp_path: Path) -> None:
    change(broken, lambda tensors: tensors.pop("decoder.lm_heads.2.weight"))
    with pytest.raises(CorruptModelError, match=r"lacks the tensor decoder\.lm_heads\.2\.weight"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_a_tensor_too_many_is_named(broken: Path, tmp_path: Path) -> None:
    change(broken, lambda tensors: tensors.update({"decoder.lm_heads.4.weight": torch.zeros(64, 64)}))
    with pytest.raises(CorruptModelError, match=r"no place for: decoder\.lm_heads\.4\.weight"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_a_tensor_of_another_shape_is_named(broken: Path, tmp_path: Path) -> None:
    change(broken, lambda tensors: tensors.update({"decoder.lm_heads.1.weight": torch.zeros(40, 64)}))
    with pytest.raises(CorruptModelError, match=r"another shape .*decoder\.lm_heads\.1\.weight"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_a_truncated_file_is_refused(broken: Path, tmp_path: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CorruptModelError, match="cannot be read"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_another_architecture_is_refused(broken: Path, tmp_path: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(CorruptModelError, match="is a 'bert'; known are 'musicgen', 'musicgen_melody'"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_without_its_tokenizer_a_checkpoint_is_refused(broken: Path, tmp_path: Path) -> None:
    (broken / "tokenizer.json").unlink()
    with pytest.raises(CorruptModelError, match=r"tokenizer\.json"):
        convert(broken, "tiny", "a test", tmp_path / "version")


def test_a_name_that_hugging_face_cannot_give_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnknownModelError, match="cannot be had from Hugging Face"):
        download("nobody/no-such-checkpoint")


@pytest.mark.slow
@pytest.mark.skipif("TUTTI_TEST_MUSICGEN" not in os.environ, reason="TUTTI_TEST_MUSICGEN names no real checkpoint")
def test_a_real_checkpoint_makes_sound(tmp_path: Path) -> None:
    name = os.environ["TUTTI_TEST_MUSICGEN"]
    folder = Path(name) if Path(name).is_dir() else download(name)
    generator = load_generator(convert(folder, "real", name, tmp_path / "version"), dtype="int8", slots=1)
    made = make(generator, {"a": recipe(1, duration_s=3.0)})["a"]
    assert made.duration_s == pytest.approx(3.0, abs=0.05)
    assert made.attributes["loudness_lufs"] > -40
