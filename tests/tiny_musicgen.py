"""MusicGen checkpoints in Hugging Face's format, tiny and random."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    PreTrainedModel,
    T5Config,
)

WORDS = ["<pad>", "</s>", "<unk>", "slow", "solo", "piano", "loud", "drums", "rain"]
PROMPT = "slow solo piano"


def save(folder: Path, *, stereo: bool = False, melody: bool = False, rate_hz: int = 3200) -> PreTrainedModel:
    """Save a checkpoint with its tokenizer; return the model of transformers."""
    torch.manual_seed(5)
    text = T5Config(vocab_size=len(WORDS), d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=3, pad_token_id=0)
    audio = EncodecConfig(
        sampling_rate=rate_hz,
        upsampling_ratios=[8, 8],
        num_filters=4,
        hidden_size=16,
        codebook_size=64,
        codebook_dim=16,
        target_bandwidths=[1.2 * rate_hz / 3200],  # four codebooks
        num_lstm_layers=1,
        normalize=False,
        use_causal_conv=False,
    )
    sizes = {
        "vocab_size": 64,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "ffn_dim": 96,
        "num_codebooks": 8 if stereo else 4,
        "audio_channels": 2 if stereo else 1,
        "pad_token_id": 64,
        "bos_token_id": 64,
        "dropout": 0.0,
    }
    if melody:
        decoder = MusicgenMelodyDecoderConfig(**sizes)
        config = MusicgenMelodyConfig(
            text_encoder=text, audio_encoder=audio, decoder=decoder, num_chroma=12, chroma_length=10
        )
        model = MusicgenMelodyForConditionalGeneration(config)
    else:
        config = MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=MusicgenDecoderConfig(**sizes))
        model = MusicgenForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.decoder.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.6 if "embed_tokens" in name else 0.12)  # no even distribution
    model.generation_config.update(
        decoder_start_token_id=64, pad_token_id=64, bos_token_id=64, max_length=64, guidance_scale=3.0
    )
    model.eval().save_pretrained(folder)
    vocabulary = {word: n for n, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return model
