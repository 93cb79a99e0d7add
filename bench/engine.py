"""The engine beside transformers' generate: the same MusicGen decoder, weights, machine and threads.

Weights are random, of MusicGen-small's shape (width 1024, 4 codebooks of 2048; fewer layers where said), guidance 3,
the 250 likeliest codes. Figures are processor seconds of one thread, medians of paired runs that alternate, so that
what else the machine does meets both alike; on several threads, seconds by the clock. The last line of --json is
{"steps_ratio": {items: ...}, "mixed_ratio": ...}: transformers in fp32 over the best backend.

    .venv/bin/python bench/engine.py --json [--quick] [--threads 2] [--plot FILE] [--audiolm]
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
)

from models.engine.backends import BackendChoice
from models.engine.engine import Engine
from models.engine.native.library import runnable
from models.engine.patterns import FREE, Delay, to_decode
from models.engine.requests import Conditioning, Request
from models.musicgen.decoder import PREFIX, MusicGenDecoder, decoder_state
from models.transformer import Transformer, TransformerConfig

WIDTH, CODEBOOKS, ENTRIES, WORDS = 1024, 4, 2048, 16
BATCH = 8  # items that transformers makes at once in the mixed job


def backends() -> list[BackendChoice]:
    """What is measured, on as many threads as PyTorch has."""
    threads = torch.get_num_threads()
    native = [BackendChoice("native", dtype, threads) for dtype in ("float32", "bfloat16", "int8") if runnable()]
    return [*(BackendChoice("torch-packed", dtype, threads) for dtype in ("float32", "bfloat16")), *native]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    layers: int
    steps: int
    repeats: int
    mixed_layers: int
    requests: int
    steps_a_second: float  # of the mixed job's music; MusicGen has 50


QUICK = Effort(layers=4, steps=10, repeats=2, mixed_layers=4, requests=16, steps_a_second=0.7)
WHOLE = Effort(layers=24, steps=32, repeats=3, mixed_layers=8, requests=64, steps_a_second=2.0)


def their_model(layers: int) -> MusicgenForConditionalGeneration:
    """Transformers' model; text encoder and codec are as small as can be, since the decoder is what is compared."""
    text = T5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    audio = EncodecConfig(
        sampling_rate=3200, upsampling_ratios=[8, 8], num_filters=4, hidden_size=8, codebook_dim=8,
        codebook_size=ENTRIES, target_bandwidths=[2.2], num_lstm_layers=1,
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(num_hidden_layers=layers)
    config = MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=decoder)
    model = MusicgenForConditionalGeneration(config)  # draws its weights
    model.generation_config.update(decoder_start_token_id=ENTRIES, pad_token_id=ENTRIES, bos_token_id=ENTRIES)
    return model.eval()


def our_model(theirs: MusicgenForConditionalGeneration, dtype: torch.dtype) -> MusicGenDecoder:
    """Our decoder with the same weights."""
    decoder = MusicGenDecoder(theirs.config.decoder, cross_attention=True)
    tensors = {
        key.removeprefix(PREFIX): value for key, value in theirs.state_dict().items() if key.startswith(PREFIX)
    }
    decoder.load_state_dict(decoder_state(tensors, decoder))
    return decoder.requires_grad_(requires_grad=False).to(dtype)


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds that some work takes; on several threads, which also wait, seconds by the clock."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    gc.collect()
    began = clock()
    work()
    return clock() - began


def their_run(model: MusicgenForConditionalGeneration, items: int, steps: int) -> None:
    """Make so many items of so many steps as one batch."""
    words = torch.ones((items, WORDS), dtype=torch.long)
    model.generate(
        input_ids=words, attention_mask=words, do_sample=True, guidance_scale=3.0, top_k=250, max_new_tokens=steps
    )


def our_run(engine: Engine, decoder: MusicGenDecoder, lengths: list[int]) -> int:
    """Make items of so many steps; return the engine's steps."""
    start_1D = decoder.embed(torch.full((1, CODEBOOKS), ENTRIES), torch.zeros(1, dtype=torch.long))
    words_MD = torch.randn(WORDS, WIDTH, generator=torch.Generator().manual_seed(1)).to(start_1D.dtype)
    for n, steps in enumerate(lengths):
        free_TK = to_decode(np.zeros((0, CODEBOOKS), dtype=np.int64), steps - CODEBOOKS + 1)
        engine.submit(
            Request(
                key=str(n),
                conditioning=Conditioning(prefix_PD=start_1D, memory_MD=words_MD),
                unconditional=Conditioning(prefix_PD=start_1D, memory_MD=torch.zeros_like(words_MD[:1])),
                guidance_scale=3.0,
                given_NK=Delay(ENTRIES).spread(free_TK),
                seed=n,
                stage="bench",
                top_k=250,
            )
        )
    taken = 0
    while engine.busy:
        engine.step()
        taken += 1
    return taken


def engine_for(decoder: MusicGenDecoder, choice: BackendChoice, items: int, steps: int) -> Engine:
    """An engine with room for so many guided items of so many steps."""
    length = -(-(steps + 1) // 128) * 128
    return Engine(decoder, slots=2 * items, cache_length=length, memory_length=64, backend=choice)


def measure_steps(effort: Effort) -> dict[str, dict[str, float]]:
    """Milliseconds for a step of 1, 4 and 8 guided items, by what runs it."""
    theirs = {"float32": their_model(effort.layers)}
    theirs["bfloat16"] = copy.deepcopy(theirs["float32"]).to(torch.bfloat16)
    ours = {dtype: our_model(theirs["float32"], getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}
    found: dict[str, dict[str, float]] = {}
    for items in (1, 4, 8):
        runs: dict[str, Callable[[], object]] = {
            f"transformers {dtype}": partial(their_run, model, items, effort.steps) for dtype, model in theirs.items()
        }
        for choice in backends():
            decoder = ours["bfloat16" if choice.model_dtype == torch.bfloat16 else "float32"]
            engine = engine_for(decoder, choice, items, effort.steps)
            runs[f"{choice.name} {choice.dtype}"] = partial(our_run, engine, decoder, [effort.steps] * items)
        times = alternating(runs, effort.repeats)
        found[str(items)] = {name: 1e3 * median(each) / effort.steps for name, each in times.items()}
        say(f"{items} items: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in found[str(items)].items()))
    return found


def alternating(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Processor seconds of runs that take turns, each after one that is not counted."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds_of(run))
    return times


def lengths_s(count: int) -> list[float]:
    """Seconds of so many pieces: log-normal about 18 s, of 5 to 60 s."""
    drawn = np.random.default_rng(1).normal(np.log(18), 0.7, count)
    return [float(seconds) for seconds in np.clip(np.exp(drawn), 5, 60)]


def their_runs(theirs: MusicgenForConditionalGeneration, batches: Sequence[Sequence[int]]) -> None:
    """Run static batches one after another, each as long as its longest piece."""
    for batch in batches:
        their_run(theirs, len(batch), max(batch))


def measure_mixed(effort: Effort) -> dict[str, float]:
    """Processor seconds for pieces of mixed lengths: transformers in static batches, ours as slots fall free."""
    theirs = their_model(effort.mixed_layers)
    decoders = {dtype: our_model(theirs, getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}
    lengths = [max(CODEBOOKS + 2, round(s * effort.steps_a_second)) for s in lengths_s(effort.requests)]
    found: dict[str, float] = {}
    for name, order in (("in order of arrival", lengths), ("sorted by length", sorted(lengths))):
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        found[f"transformers float32, {name}"] = seconds_of(partial(their_runs, theirs, batches))
    for choice in backends():
        decoder = decoders["bfloat16" if choice.model_dtype == torch.bfloat16 else "float32"]
        engine = engine_for(decoder, choice, BATCH, max(lengths))
        our_run(engine, decoder, [8] * BATCH)
        before = engine.statistics
        found[f"{choice.name} {choice.dtype}"] = seconds_of(partial(our_run, engine, decoder, lengths))
        occupied = engine.statistics.since(before)
        shares = f"slots in use {occupied.occupancy:.1%}, while requests wait {occupied.occupancy_while_waiting:.1%}"
        say(f"{choice.name} {choice.dtype}: {shares}, scheduling {occupied.scheduling_share:.2%} of the time")
    for name, seconds in found.items():
        say(f"mixed, {name}: {seconds:.1f} s")
    return found


def measure_roofline(steps: dict[str, dict[str, float]], layers: int) -> dict[str, float]:
    """What the machine gives one thread, and the share of it that int8 and fp32 steps of one item reach."""
    big = torch.zeros(1 << 27)
    read_gb_s = 0.537 / min(seconds_of(big.sum) for _ in range(5))
    a, b = torch.randn(512, 2048), torch.randn(2048, 2048)
    gemm_gflops = 2 * 512 * 2048 * 2048 / 1e9 / min(seconds_of(lambda: a @ b) for _ in range(5))
    weights = layers * 14 * WIDTH**2 + CODEBOOKS * ENTRIES * WIDTH
    found = {"read_gb_s": read_gb_s, "gemm_fp32_gflops": gemm_gflops}
    for name, size in (("native float32", 4), ("native int8", 1)):
        if name in steps["1"]:
            found[f"{name}: share of reading"] = weights * size / 1e9 / (steps["1"][name] / 1e3) / read_gb_s
    if "native float32" in steps["8"]:
        work = 2 * 16 * weights / 1e9
        found["native float32: share of GEMM, 8 items"] = work / (steps["8"]["native float32"] / 1e3) / gemm_gflops
    return found


def measure_audiolm(steps: int) -> dict[str, float]:
    """Processor seconds for 8 sequences of a semantic stage of width 512, 6 layers, beside audiolm-pytorch's."""
    audiolm = importlib.import_module("audiolm_pytorch.audiolm_pytorch")
    # Of a text encoder that is not used: it would ask the network.
    vars(audiolm)["get_encoded_dim"] = lambda _name: 512
    theirs = audiolm.SemanticTransformer(num_semantic_tokens=500, dim=512, depth=6, heads=8, flash_attn=False).eval()
    wrapper = audiolm.SemanticTransformerWrapper(transformer=theirs)
    ours = Transformer(TransformerConfig(vocabulary=512, layers=6, width=512, heads=8, feed_forward=2048))
    ours.reset_parameters(torch.Generator().manual_seed(0))
    ours.requires_grad_(requires_grad=False)
    choice = next(each for each in reversed(backends()) if each.dtype == "float32")
    engine = Engine(ours, slots=8, cache_length=-(-(steps + 1) // 128) * 128, backend=choice)

    def their_work() -> None:
        wrapper.generate(max_length=steps, batch_size=8, temperature=1.0, use_kv_cache=True)

    def our_work() -> None:
        for n in range(8):
            told = Conditioning(prefix_PD=ours.embedding.weight[:1])
            given = np.full((steps, 1), FREE)
            engine.submit(Request(key=str(n), conditioning=told, given_NK=given, seed=n, stage="bench"))
        while engine.busy:
            engine.step()

    times = alternating({"audiolm-pytorch": their_work, f"ours, {choice.name} fp32": our_work}, 2)
    return {name: median(each) for name, each in times.items()}


def plot(steps: dict[str, dict[str, float]], mixed: dict[str, float], path: Path) -> None:
    """Draw both as bars."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    names = list(steps["1"])[::-1]
    for at, items in enumerate(steps):
        places = [n + (1 - at) * 0.27 for n in range(len(names))]
        left.barh(places, [steps[items][name] for name in names], height=0.27, label=f"{items} items")
    left.set_yticks(range(len(names)), names)
    left.set(xlabel="ms a step", title="A step, with guidance")
    left.legend()
    right.barh(list(mixed)[::-1], list(mixed.values())[::-1])
    right.set(xlabel="processor seconds", title="Pieces of mixed lengths")
    figure.savefig(path, dpi=110)


def say(words: str) -> None:
    print(words, flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments.add_argument("--quick", action="store_true", help="fewer layers and steps, under 50 s")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--plot", type=Path, help="draw the figures into this file")
    arguments.add_argument("--audiolm", action="store_true", help="and beside audiolm-pytorch, if installed")
    chosen = arguments.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)  # transformers and audiolm-pytorch draw from the global generator
    effort = QUICK if chosen.quick else WHOLE
    say(
        f"{platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
    steps = measure_steps(effort)
    for name, value in measure_roofline(steps, effort.layers).items():
        say(f"roofline, {name}: {value:.3g}")
    mixed = measure_mixed(effort)
    if chosen.audiolm:
        for name, seconds in measure_audiolm(64 if chosen.quick else 256).items():
            say(f"semantic stage, {name}: {seconds:.2f} s")
    if chosen.plot:
        plot(steps, mixed, chosen.plot)
    baseline = "transformers float32"
    ratios = {items: each[baseline] / min(each.values()) for items, each in steps.items()}
    mixed_ratio = mixed[f"{baseline}, in order of arrival"] / min(mixed.values())
    if chosen.json:
        rounded = {items: round(ratio, 2) for items, ratio in ratios.items()}
        say(json.dumps({"steps_ratio": rounded, "mixed_ratio": round(mixed_ratio, 2)}))


if __name__ == "__main__":
    main()
