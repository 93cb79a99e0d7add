"""All parts of a MusicGen: text encoder, decoder, codec, and how a prompt becomes a request's conditioning.

Shapes: M words, D width, P inputs of a prefix, F chroma frames, C chroma classes, T codec frames, K codebooks,
A audio channels, N samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    EncodecModel,
    MusicgenConfig,
    MusicgenMelodyConfig,
    MusicgenMelodyFeatureExtractor,
    T5EncoderModel,
)

from models.engine.patterns import Delay
from models.engine.requests import Conditioning
from models.musicgen.checkpoint import SHARED, TIED, TOKENIZER_TENSOR
from models.musicgen.decoder import PREFIX, MusicGenDecoder, decoder_state
from models.recording import Recording
from models.resampling import at_rate
from models.weights import CorruptModelError, ModelVersion, load_tensors

_CONFIGS = {"musicgen": MusicgenConfig, "musicgen_melody": MusicgenMelodyConfig}


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a piece is told, and its unconditional twin."""

    conditioning: Conditioning
    unconditional: Conditioning


class MusicGen(nn.Module):
    """The parts of one version, on one device: the decoder in its dtype, the others in float32."""

    def __init__(self, config: MusicgenConfig | MusicgenMelodyConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.melodic = isinstance(config, MusicgenMelodyConfig)
        self.decoder = MusicGenDecoder(config.decoder, cross_attention=not self.melodic)
        self.text_encoder, self.audio_encoder = (
            T5EncoderModel(config.text_encoder),
            EncodecModel(config.audio_encoder),
        )
        text, width = config.text_encoder.hidden_size, config.decoder.hidden_size
        self.text_projection = nn.Linear(text, width) if self.melodic or text != width else nn.Identity()
        self.chroma_projection = nn.Linear(config.num_chroma, width) if self.melodic else None

    @property
    def sample_rate_hz(self) -> int:
        """Samples a second."""
        return int(self.config.audio_encoder.sampling_rate)

    @property
    def channels(self) -> int:
        """1, or 2 for stereo."""
        return int(self.config.decoder.audio_channels)

    @cached_property
    def hop_length(self) -> int:
        """Samples of a codec frame."""
        return math.prod(self.config.audio_encoder.upsampling_ratios)

    @property
    def pattern(self) -> Delay:
        """How codes are laid out over steps."""
        return Delay(self.decoder.hole, self.channels)

    @torch.inference_mode()
    def condition(self, prompt: str, chroma_FC: Tensor | None = None) -> Told:
        """Return what the decoder is told for a prompt.

        Args:
            prompt: words.
            chroma_FC: the melody's chroma, one-hot, for the melody variant; without it no melody is asked for.
        """
        device = self.decoder.head_KVD.device
        tokens = torch.tensor([self.tokenizer.encode(prompt).ids], device=device)
        words_MD = self.text_projection(self.text_encoder(input_ids=tokens).last_hidden_state[0])
        if self.chroma_projection is None:
            start_PD = self._inputs(torch.empty((0, words_MD.shape[1]), device=device))
            # the twin hears a silent memory: nothing, since values have no bias
            return Told(
                Conditioning(prefix_PD=start_PD, memory_MD=words_MD),
                Conditioning(prefix_PD=start_PD, memory_MD=torch.zeros_like(words_MD[:1])),
            )
        none_FC = torch.zeros((1, self.chroma_projection.in_features), device=device)
        none_FC[:, 0] = 1
        heard_FC = none_FC if chroma_FC is None else chroma_FC.to(device)
        if chroma_FC is not None:
            none_FC = none_FC.expand_as(heard_FC)
        told = (heard_FC, words_MD), (none_FC, torch.zeros_like(words_MD))
        given, without = (
            Conditioning(prefix_PD=self._inputs(torch.cat((self._melody(chroma), words)))) for chroma, words in told
        )
        return Told(given, without)

    def chroma(self, recording: Recording) -> Tensor:
        """Return chroma_FC of a melody as the melody variant is told it: the strongest pitch class, one-hot."""
        rate = self.sample_rate_hz
        extract = MusicgenMelodyFeatureExtractor(sampling_rate=rate, num_chroma=self.config.num_chroma)
        mono_T = at_rate(recording.mono_T, recording.sample_rate_hz, rate)
        chroma_1FC: Tensor = extract(mono_T, sampling_rate=rate, return_tensors="pt")["input_features"]
        return chroma_1FC[0]

    @torch.inference_mode()
    def decode(self, codes_TK: Tensor) -> Tensor:
        """Return waveform_AN of the codes' frames."""
        codes_1KT = codes_TK.T[None].to(self.decoder.head_KVD.device)
        sides = [codes_1KT[None, :, channel :: self.channels] for channel in range(self.channels)]
        waveforms = [self.audio_encoder.decode(side, audio_scales=[None]).audio_values[0, 0] for side in sides]
        return torch.stack(waveforms).cpu()

    def _melody(self, chroma_FC: Tensor) -> Tensor:
        """Return the projected chroma, repeated or cut to the length that the checkpoint knows."""
        assert self.chroma_projection is not None
        length = self.config.chroma_length
        repeats = math.ceil(length / len(chroma_FC))
        melody: Tensor = self.chroma_projection(chroma_FC).repeat(repeats, 1)[:length]
        return melody

    def _inputs(self, before_PD: Tensor) -> Tensor:
        """Return the inputs before the first code: what is given, at its positions, and the start code."""
        decoder, rows = self.decoder, len(before_PD)
        positions = torch.arange(rows + 1, device=before_PD.device)
        start = torch.full((1, decoder.codebooks), decoder.hole, device=before_PD.device)
        return torch.cat((before_PD + decoder.position(positions[:rows]), decoder.embed(start, positions[rows:])))


def load_model(version: ModelVersion, device: str, dtype: torch.dtype) -> MusicGen:
    """Load a version that `models.musicgen.checkpoint.convert` wrote.

    Raises:
        CorruptModelError: configuration and weights do not fit each other or this code.
    """
    tensors = load_tensors(version, "cpu")
    try:
        config = _CONFIGS[version.config["family"]].from_dict(dict(version.config["checkpoint"]))
        tokenizer = Tokenizer.from_str(tensors.pop(TOKENIZER_TENSOR).numpy().tobytes().decode())
        model = MusicGen(config, tokenizer)
        model.load_state_dict(_state(tensors, model), strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise CorruptModelError(
            f"{version.path} does not fit its config.json: {type(error).__name__}: {first}"
        ) from error
    model.to(device)
    model.decoder.to(dtype)
    return model.eval().requires_grad_(requires_grad=False)


def _state(tensors: dict[str, Tensor], model: MusicGen) -> dict[str, Tensor]:
    theirs = {key.removeprefix(PREFIX): tensors[key] for key in tensors if key.startswith(PREFIX)}
    state = {f"decoder.{key}": tensor for key, tensor in decoder_state(theirs, model.decoder).items()}
    renamed = {"enc_to_dec_proj.": "text_projection.", "audio_enc_to_dec_proj.": "chroma_projection."}
    for key, tensor in tensors.items():
        if key.startswith(("text_encoder.", "audio_encoder.")):
            state[key] = tensor
        for old, new in renamed.items():
            if key.startswith(old):
                state[new + key.removeprefix(old)] = tensor
    state[TIED] = state[SHARED]
    return state
