"""The codec: shapes, streams, and what it refuses."""

import dataclasses

import pytest
import torch
from tiny_musiclm import CODEC

from models.soundstream.codec import SoundStream, paper

WAVES = dataclasses.replace(CODEC, hop_length=20, layers="waveform", strides=(4, 5), channels=4)


def made(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = SoundStream(config).eval().requires_grad_(requires_grad=False)
        codec.quantiser.codebooks_KVD.normal_()
    return codec


def noise(frames, config):
    return torch.randn(1, frames * config.hop_length, generator=torch.Generator().manual_seed(1)) * 0.1


@pytest.mark.parametrize("config", [CODEC, WAVES], ids=["spectral", "waveform"])
def test_a_frame_a_hop_and_a_hop_a_frame(config):
    codec = made(config)
    codes = codec.encode(noise(30, config))
    assert codes.shape == (1, 30, config.codebooks)
    assert codec.decode(codes).shape == (1, 30 * config.hop_length)


@pytest.mark.parametrize("config", [CODEC, WAVES], ids=["spectral", "waveform"])
def test_a_stream_is_encoded_as_the_whole(config):
    codec, x = made(config), noise(200, config)
    chunks = x.split([7, 90 * config.hop_length - 7, config.hop_length, 109 * config.hop_length], dim=1)
    streamed = list(codec.encode_stream(chunks))
    assert len(streamed) > 2  # it does not wait for the end
    assert torch.equal(torch.cat(streamed, dim=1), codec.encode(x))


@pytest.mark.parametrize("config", [CODEC, WAVES], ids=["spectral", "waveform"])
def test_a_stream_is_decoded_as_the_whole(config):
    codec = made(config)
    codes = codec.encode(noise(200, config))
    streamed = list(codec.decode_stream(codes.split([1, 90, 2, 107], dim=1)))
    assert len(streamed) > 2
    torch.testing.assert_close(torch.cat(streamed, dim=1), codec.decode(codes), atol=1e-5, rtol=0)


def test_any_number_of_the_first_codebooks_can_be_decoded():
    codec = made(CODEC)
    codes = codec.encode(noise(20, CODEC))
    for k in range(1, 5):
        assert codec.decode(codes[..., :k]).shape == (1, 6400)


def test_samples_that_are_no_whole_frames_are_refused():
    with pytest.raises(ValueError, match="321 samples are no multiple of the hop of 320"):
        made(CODEC).encode(torch.zeros(1, 321))


def test_more_codebooks_than_there_are_are_refused():
    with pytest.raises(ValueError, match="5 codebooks asked of a codec with 4"):
        made(CODEC).decode(torch.zeros(1, 3, 5, dtype=torch.long))


def test_the_papers_codec_has_its_rates():
    config = paper()
    assert (config.sample_rate_hz, config.frame_rate_hz, config.codebooks, config.entries) == (24_000, 50, 12, 1024)
    with torch.device("meta"):
        codec = SoundStream(config)
    assert codec.encoder.hop_length == config.hop_length
