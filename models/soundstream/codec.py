"""The codec: encoder, residual quantiser, decoder, whole or in a stream (SoundStream, section III).

Shapes: B batch, T samples, F codec frames, D latent width, K codebooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.soundstream.convnext import SpectralDecoder, SpectralEncoder
from models.soundstream.quantiser import ResidualVQ
from models.soundstream.seanet import WaveformDecoder, WaveformEncoder

_DECODED_AT_ONCE = 1500  # frames


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundStreamConfig:
    """Size of a codec.

    `layers` names the kind: "spectral" (STFT, ConvNeXt, iSTFT head) or "waveform" (strided and transposed
    convolutions, as in the paper). What does not belong to the kind is ignored.
    """

    sample_rate_hz: int
    hop_length: int
    codebooks: int
    entries: int
    latent: int
    layers: Literal["spectral", "waveform"]
    fft_length: int = 0
    encoder_width: int = 0
    encoder_blocks: int = 0
    decoder_width: int = 0
    decoder_blocks: int = 0
    strides: tuple[int, ...] = ()
    channels: int = 0

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return self.sample_rate_hz / self.hop_length


def small() -> SoundStreamConfig:
    """Return the codec that ships: 16 kHz, 50 Hz, 8 codebooks of 1024, 4 kbit/s; trains on two processor cores."""
    return SoundStreamConfig(
        sample_rate_hz=16_000, hop_length=320, codebooks=8, entries=1024, latent=64, layers="spectral",
        fft_length=1280, encoder_width=256, encoder_blocks=5, decoder_width=320, decoder_blocks=8,
    )  # fmt: skip


def paper() -> SoundStreamConfig:
    """Return MusicLM's codec: 24 kHz, 50 Hz, 12 codebooks of 1024, 6 kbit/s."""
    return SoundStreamConfig(
        sample_rate_hz=24_000, hop_length=480, codebooks=12, entries=1024, latent=128, layers="waveform",
        strides=(3, 4, 5, 8), channels=32,
    )  # fmt: skip


class SoundStream(nn.Module):
    """Waveform to codes and back."""

    def __init__(self, config: SoundStreamConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: SpectralEncoder | WaveformEncoder
        self.decoder: SpectralDecoder | WaveformDecoder
        if config.layers == "spectral":
            sizes = {"hop_length": config.hop_length, "fft_length": config.fft_length, "latent": config.latent}
            self.encoder = SpectralEncoder(width=config.encoder_width, blocks=config.encoder_blocks, **sizes)
            self.decoder = SpectralDecoder(width=config.decoder_width, blocks=config.decoder_blocks, **sizes)
        else:
            self.encoder = WaveformEncoder(strides=config.strides, channels=config.channels, latent=config.latent)
            self.decoder = WaveformDecoder(strides=config.strides, channels=config.channels, latent=config.latent)
        self.quantiser = ResidualVQ(codebooks=config.codebooks, entries=config.entries, width=config.latent)

    def encode(self, x_BT: Tensor) -> Tensor:
        """Return codes_BFK, int64, for waveforms in [-1, 1] whose length is a multiple of the hop.

        Raises:
            ValueError: it is not.
        """
        if x_BT.shape[-1] % self.config.hop_length or not x_BT.shape[-1]:
            raise ValueError(f"{x_BT.shape[-1]} samples are no multiple of the hop of {self.config.hop_length}")
        return self.quantiser.encode(cast(Tensor, self.encoder(x_BT)))

    def decode(self, codes_BFK: Tensor) -> Tensor:
        """Return waveforms_BT from all codebooks or the first K of them; T = frames x hop.

        Raises:
            ValueError: more codebooks than this codec has.
        """
        if (asked := codes_BFK.shape[-1]) > self.config.codebooks:
            raise ValueError(f"{asked} codebooks asked of a codec with {self.config.codebooks}")
        return cast(Tensor, self.decoder(self.quantiser.decode(codes_BFK)))

    def encode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode a stream of waveforms_BT of any lengths; yield codes_BFK as soon as they are final.

        The codes are those of `encode` over the whole (up to rounding), later by the encoder's reach.

        Raises:
            ValueError: the stream as a whole is no multiple of the hop.
        """
        hop, reach = self.config.hop_length, self.encoder.reach_frames
        held: Tensor | None = None  # frames before the next one to give, as context, and all after
        before = 0
        for chunk in chunks:
            held = chunk if held is None else torch.cat([held, chunk], dim=-1)
            ready = held.shape[-1] // hop - reach - before
            if ready > 0:
                yield self.encode(held[:, : (before + ready + reach) * hop])[:, before : before + ready]
                held, before = _forget(held, before + ready, reach, hop)
        if held is not None:
            yield self.encode(held)[:, before:]

    def decode_stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode a stream of codes_BFK of any lengths; yield waveforms_BT as soon as they are final."""
        hop, reach = self.config.hop_length, self.decoder.reach_frames
        held: Tensor | None = None
        before = 0
        for chunk in chunks:
            held = chunk if held is None else torch.cat([held, chunk], dim=1)
            ready = held.shape[1] - reach - before
            if ready > 0:
                span = self.decode(held[:, : before + ready + reach])
                yield span[:, before * hop : (before + ready) * hop]
                kept = min(before + ready, reach)
                held, before = held[:, before + ready - kept :], kept
        if held is not None:
            yield self.decode(held)[:, before * hop :]

    @torch.inference_mode()
    def decode_whole(self, codes_FK: Tensor) -> Tensor:
        """Return waveform_T, on the CPU, of a piece of any length, decoded in a stream to bound the memory."""
        chunks_1FK = torch.split(codes_FK[None], _DECODED_AT_ONCE, dim=1)
        return torch.cat(list(self.decode_stream(chunks_1FK)), dim=1)[0].cpu()


def _forget(held_BT: Tensor, given: int, reach: int, hop: int) -> tuple[Tensor, int]:
    """Drop what no later frame depends on; return the rest and how many frames of it are context."""
    kept = min(given, reach)
    return held_BT[:, (given - kept) * hop :], kept
