"""A MusicLM of a few thousand weights, drawn by a fixed seed, and a set of clips made of tones."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from models.material.clips import CLIP_SAMPLES, SHARD, Clip, ClipSet
from models.material.labels import Labels
from models.mel import MelConfig
from models.melody.model import MelodyNetConfig
from models.mulan.model import MulanConfig
from models.musiclm.model import MusicLM, MusicLMConfig
from models.musiclm.sampling import Sampling, StageSampling
from models.musiclm.stage import coarse, fine, semantic
from models.soundstream.codec import SoundStreamConfig
from models.transformer import TrunkConfig
from models.w2v_bert.model import W2vBertConfig
from models.weights import ModelVersion, read_version, write_version

CODEC = SoundStreamConfig(
    sample_rate_hz=16_000, hop_length=320, codebooks=4, entries=16, latent=8, layers="spectral",
    fft_length=640, encoder_width=16, encoder_blocks=1, decoder_width=16, decoder_blocks=2,
)  # fmt: skip
MULAN = MulanConfig(
    mel=MelConfig(sample_rate_hz=16_000, fft_length=512, hop_length=256, bands=16),
    channels=(4, 8), blocks=(1, 1), width=16, text_hidden=16, codebooks=3, entries=8,
)  # fmt: skip
W2V_BERT = W2vBertConfig(
    mel=MelConfig(sample_rate_hz=16_000, fft_length=512, hop_length=160, bands=8),
    width=16, heads=2, contrastive_layers=1, masked_layers=1, semantic_layer=1, entries=8, target_width=8, classes=12,
)  # fmt: skip
TRUNK = TrunkConfig(layers=1, width=16, heads=1, feed_forward=32)
PREFIX = (3, 8)


def config() -> MusicLMConfig:
    return MusicLMConfig(
        codec=CODEC,
        mulan=MULAN,
        semantic_model=W2V_BERT,
        melody=MelodyNetConfig(channels=2, context=4),
        semantic=semantic(TRUNK, classes=12, prefix=PREFIX),
        coarse=coarse(TRUNK, codebooks=2, entries=16, classes=12, prefix=PREFIX),
        fine=fine(TRUNK, codebooks=2, coarse_codebooks=2, entries=16),
    )


def model(seed: int = 0) -> MusicLM:
    """Weights large enough that what is told matters."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        made = MusicLM(config())
        for part in (made.semantic, made.coarse, made.fine):
            for parameter in part.parameters():
                if parameter.ndim >= 2:
                    torch.nn.init.normal_(parameter, std=0.3)
        made.mulan.text.straight.weight.mul_(8)  # unlike words get unlike tokens
        made.codec.quantiser.codebooks_KVD.normal_()
        made.mulan.quantiser.codebooks_KVD.normal_(std=0.3)
        made.semantic_model.centres_CD.normal_()
    return made


def sampling(guidance_scale: float = 2.0) -> Sampling:
    return Sampling(
        semantic=StageSampling(temperature=1.0, top_k=0, guidance_scale=guidance_scale, window_s=1.0, given_s=0.4),
        coarse=StageSampling(
            temperature=1.0,
            top_k=8,
            guidance_scale=guidance_scale,
            window_s=0.8,
            given_s=0.4,
            forgetful=0.5,
            guided_by_tokens=True,
        ),
        fine=StageSampling(temperature=0.8, top_k=0, guidance_scale=1.0, window_s=0.6, given_s=0.2),
    )


def version(folder: Path, takes: int = 2, seed: int = 0, **told: object) -> ModelVersion:
    """Write a version; `told` is what its configuration says besides, such as follows_melody."""
    settings = {
        "name": "musiclm-tiny",
        "kind": "soundscape",
        "architecture": "musiclm",
        "parts": config().as_dict(),
        "sampling": asdict(sampling()),
        "takes": takes,
    }
    return write_version(folder, model(seed).packed(), settings | told, "---\nname: musiclm-tiny\n---\n")


def training(folder: Path, made: ModelVersion) -> ModelVersion:
    """A folder of a training, with clips and tokens (drawn, as those of tones are all alike); the version's card
    then says that it was trained on them."""
    material = clips(folder / "clips", count=24)
    drawn = torch.randint(12, (24, 250), generator=torch.Generator().manual_seed(0), dtype=torch.int16)
    torch.save({"semantic_NQ": drawn}, folder / "tokens.pt")
    card = f"---\nname: musiclm-tiny\ntraining_data: {{manifest: '{material.manifest_digest}'}}\n---\n"
    (made.path / "card.md").write_text(card)
    return read_version(made.path)


def clips(folder: Path, count: int = 12) -> ClipSet:
    """Clips of one tone each: even ones flutes, odd ones drums of noise; the last four are for validation."""
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    samples = np.zeros((SHARD, CLIP_SAMPLES), dtype=np.int16)
    times = np.arange(CLIP_SAMPLES) / 16_000
    with (folder / "clips.jsonl").open("w") as lines:
        for number in range(count):
            tone = (
                np.sin(2 * np.pi * 220 * (1 + number / 3) * times)
                if number % 2 == 0
                else rng.standard_normal(CLIP_SAMPLES)
            )
            samples[number] = np.round(tone * 3000).astype(np.int16)
            labels = (
                Labels(kind="solo", instruments=("flute",)) if number % 2 == 0 else Labels(kind="drums", drums=True)
            )
            split = "validation" if number >= count - 4 else "train"
            clip = Clip(number, split, labels, ("a flute", "drums")[number % 2 : number % 2 + 1], ())
            lines.write(json.dumps(clip.as_dict()) + "\n")
    np.save(folder / "audio" / "00000.npy", samples)
    (folder / "manifest.json").write_text("{}")
    return ClipSet(folder)
