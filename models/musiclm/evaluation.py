"""Measures a MusicLM by judges that its training never heard, on prompts and clips kept for that.

Shapes: N clips, Q semantic tokens, E joint width, T samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from models.digests import digest_of_bytes
from models.engine.engine import Engine
from models.engine.patterns import to_decode
from models.engine.requests import Conditioning, Request
from models.evaluation.asks import asks, fitting_clips
from models.evaluation.clip import Clip, Labels
from models.evaluation.codec import CodecEvaluation, codebook_use, evaluate_codec
from models.evaluation.drift import Drift, drift, drift_figures
from models.evaluation.figure import Figure
from models.evaluation.generation import evaluate_generation
from models.evaluation.melodies import evaluate_melodies, melody_figures
from models.evaluation.memorisation import Memorisation, memorisation, token_distances
from models.evaluation.report import Report
from models.evaluation.scores import area_under_curve, recall_at
from models.evaluation.story import Section, StoryEvaluation, evaluate_story, story_figures
from models.generator import NO_INPUTS, Generator
from models.judges.melody import MelodyJudge
from models.judges.panel import Panel
from models.making import make_all
from models.material.clips import ClipSet
from models.material.instruments import SOUNDS
from models.material.synth import SAMPLE_RATE_HZ, UNHEARD
from models.mulan.sentences import Sentences, load_sentences
from models.musiclm.model import MusicLM, load_model
from models.registry import load_generator
from models.soundstream.codec import SoundStream
from models.weights import ModelVersion

Report_ = Callable[[str, int, int, Mapping[str, float]], None]
Waveform = NDArray[np.float32]
PARTS = ("generation", "stories", "long-pieces", "joint-space", "melodies", "codec", "memorisation")
RETRIEVED = 1000  # held-out pairs
FREE_WORDS = {  # none of them is in a caption of the training material
    "a fiddle": "violin",
    "a lonely cello": "cello",
    "downpour": "rain",
    "seashore": "waves",
    "a squeezebox": "accordion",
    "robins and blackbirds": "birds",
    "a cathedral's pipes": "organ",
    "a bonfire": "fire",
}
STORIES: tuple[tuple[tuple[float, str, Labels], ...], ...] = (
    (
        (0.0, "calm harp", Labels(instruments=("harp",))),
        (15.0, "urgent fast strings", Labels(instruments=("violin",))),
    ),
    ((0.0, "slow solo piano", Labels(instruments=("piano",))), (15.0, "rain falling", Labels(scenes=("rain",)))),
    ((0.0, "birds singing", Labels(scenes=("birds",))), (15.0, "solo flute", Labels(instruments=("flute",)))),
    (
        (0.0, "choir singing aahs", Labels(instruments=("choir",))),
        (15.0, "solo trumpet", Labels(instruments=("trumpet",))),
    ),
)
TUNES_ASKED = (
    "solo violin",
    "solo clarinet",
    "solo trumpet",
    "solo flute",
    "a synth lead",
)  # one melody after another
LONG = {"calm piano music": True, "a rock band with drums": True, "waves on a beach": False}  # whether it has a beat
LONG_S, STORY_S, CLIP_S = 180.0, 30.0, 10.0
MEMORISED_CLIPS, PROMPT_TOKENS = 200, 125


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of each part is measured."""

    copies: int = 4  # of each ask: 160 prompts
    codec_clips: int = 60
    visqol_clips: int = 16
    stories: int = len(STORIES)
    long_pieces: int = len(LONG)
    memorised_clips: int = MEMORISED_CLIPS
    melodies: int = 20


QUICK = Extent(copies=1, codec_clips=8, visqol_clips=0, stories=1, long_pieces=1, memorised_clips=20)
QUICK_PARTS = ("generation", "stories", "joint-space", "melodies", "codec")


class Evaluation:
    """Measures a version on a set of clips of its own kind, a part at a time, into `report`.

    The validation clips are what it is held against.
    """

    def __init__(self, version: ModelVersion, clips: ClipSet, extent: Extent) -> None:
        """Take what is measured, and how much of it."""
        self._version, self._clips, self._extent = version, clips, extent
        self.report = Report(model=version.reference)

    def measure(self, part: str, told: Report_) -> None:
        """Measure one of PARTS.

        Raises:
            GenerationError: a piece could not be made.
        """
        parts: dict[str, Callable[[Report_], None]] = {
            "generation": self._measure_generation,
            "stories": self._measure_stories,
            "long-pieces": self._measure_long_pieces,
            "joint-space": self._measure_joint_space,
            "melodies": self._measure_melodies,
            "codec": self._measure_codec,
            "memorisation": self._measure_memorisation,
        }
        parts[part](told)

    def _measure_generation(self, told: Report_) -> None:
        asked = asks(copies=self._extent.copies)
        real = fitting_clips(asked, self._clips)
        recipes = [_recipe(ask.prompt, number, CLIP_S) for number, ask in enumerate(asked)]
        waves = make(self._generator, recipes, lambda done, total: told("generation", done, total, {}))
        made = [
            Clip(wave, _rate(self._model), ask.labels, ask.prompt) for wave, ask in zip(waves, asked, strict=True)
        ]
        generation = evaluate_generation(
            made,
            real,
            panel=self._panel,
            round_trip=lambda x, _: round_trip(self._model.codec, x),
            agreement=lambda heard, prompts: agreement(self._model, self._sentences, heard, prompts),
            progress=lambda done, total: told("judging", done, total, {}),
        )
        how = f"{len(asked)} prompts, seeds 0 to {len(asked) - 1}, {self._version.config['takes']} takes each."
        self.report = replace(self.report, generation=generation, notes=[how])

    def _measure_stories(self, told: Report_) -> None:
        stories = _stories(self._generator, self._model, self._panel, self._extent.stories, told)
        self._add(story_figures([evaluated for _, _, evaluated in stories]))
        self.report = replace(self.report, stories=stories)

    def _measure_long_pieces(self, told: Report_) -> None:
        pieces = _long_pieces(self._generator, self._model, self._extent.long_pieces, told)
        self._add(drift_figures([drifted for _, _, drifted in pieces]))
        self.report = replace(self.report, examples=[(name, clip) for name, clip, _ in pieces])

    def _measure_joint_space(self, told: Report_) -> None:
        self._add(joint_figures(self._model, self._clips, self._sentences, told))

    def _measure_melodies(self, told: Report_) -> None:
        self._add(_melodies(self._generator, self._clips, self._extent.melodies, told))

    def _measure_codec(self, told: Report_) -> None:
        sets = _codec_sets(self._clips, self._extent.codec_clips)
        codecs = _codecs(self._model, sets, self._panel, self._extent.visqol_clips, told)
        self.report = replace(self.report, codecs=codecs)
        self._add([_entries_used(self._model.codec, [clip for chosen in sets.values() for clip in chosen])])

    def _measure_memorisation(self, told: Report_) -> None:
        found = memorised(self._model, self._clips, self._extent.memorised_clips, told)
        self.report = replace(self.report, memorisation=found)

    def _add(self, figures: Sequence[Figure]) -> None:
        self.report = replace(self.report, figures=[*self.report.figures, *figures])

    @cached_property
    def _model(self) -> MusicLM:
        return load_model(self._version, "cpu", torch.float32)

    @cached_property
    def _generator(self) -> Generator:
        return load_generator(self._version, slots=8)

    @cached_property
    def _panel(self) -> Panel:
        return Panel.load()

    @cached_property
    def _sentences(self) -> Sentences:
        return load_sentences()


def make(
    generator: Generator,
    recipes: Sequence[Mapping[str, Any]],
    progress: Callable[[int, int], None],
    inputs: Sequence[Mapping[str, bytes]] = (),
    role: str = "waveform",
) -> list[Waveform]:
    """Make pieces, as many side by side as the generator has slots; return their waveforms in order.

    Args:
        generator: a MusicLM, or a SingSong.
        recipes: what to make.
        progress: told (made, of how many).
        inputs: what each recipe is made from, if any is made from files.
        role: the file of a piece that is wanted.

    Raises:
        GenerationError: one could not be made.
    """
    made: dict[int, Waveform] = {}
    by_key = {str(number): recipe for number, recipe in enumerate(recipes)}
    for key, product in make_all(generator, by_key, lambda key: inputs[int(key)] if inputs else NO_INPUTS):
        if isinstance(product, Exception):
            raise product
        files = {file.role: file.data for file in product.files}
        made[int(key)] = soundfile.read(BytesIO(files[role]), dtype="float32")[0]
        progress(len(made), len(recipes))
    return [made[number] for number in range(len(recipes))]


@torch.inference_mode()
def round_trip(codec: SoundStream, waveform_T: Waveform) -> Waveform:
    """Encode and decode a waveform of any length."""
    hop = codec.config.hop_length
    padded = np.pad(waveform_T, (0, -len(waveform_T) % hop))
    decoded = codec.decode(codec.encode(torch.from_numpy(padded)[None]))[0, : len(waveform_T)]
    return np.asarray(decoded.numpy(), dtype=np.float32)


def agreement(
    model: MusicLM, sentences: Sentences, heard: Sequence[Clip], prompts: Sequence[str]
) -> NDArray[np.float32]:
    """Return the cosine of every clip with every prompt in the joint space: MuLan cycle consistency."""
    audio_NE = torch.stack([model.mulan.embed_audio(torch.from_numpy(clip.waveform)) for clip in heard])
    text_NE = torch.stack([model.mulan.embed_text(sentences(prompt)) for prompt in prompts])
    return np.asarray((audio_NE @ text_NE.T).numpy(), dtype=np.float32)


def joint_figures(model: MusicLM, clips: ClipSet, sentences: Sentences, report: Report_) -> list[Figure]:
    """Return how well captions find their held-out clips, and words never trained with their classes."""
    numbers = clips.numbers("validation")[:RETRIEVED]
    audio = []
    for done, number in enumerate(numbers, start=1):
        audio.append(model.mulan.embed_audio(torch.from_numpy(clips.waveform(number))))
        report("joint space", done, len(numbers), {})
    audio_NE = torch.stack(audio)
    text_NE = torch.stack([model.mulan.embed_text(sentences(clips.clips[n].captions[0])) for n in numbers])
    found = Figure(
        name="text finds audio, recall at 10",
        meaning=f"among {len(numbers)} held-out clips, by the first caption of each",
        generated=recall_at((text_NE @ audio_NE.T).numpy(), 10),
        chance=10 / len(numbers),
        goal=0.30,
        clips=len(numbers),
    )
    areas = {}
    for words, name in FREE_WORDS.items():
        likeness_N = (audio_NE @ model.mulan.embed_text(sentences(words))).tolist()
        of_name = [name in (*clips.clips[n].labels.instruments, *clips.clips[n].labels.scenes) for n in numbers]
        with_it = [x for x, yes in zip(likeness_N, of_name, strict=True) if yes]
        areas[words] = area_under_curve(with_it, [x for x, yes in zip(likeness_N, of_name, strict=True) if not yes])
    understood = Figure(
        name="free words, area under curve",
        meaning=", ".join(f"{words} {area:.2f}" for words, area in areas.items()),
        generated=float(np.mean(list(areas.values()))),
        chance=0.5,
        clips=len(numbers),
    )
    return [found, understood]


@torch.inference_mode()
def memorised(model: MusicLM, clips: ClipSet, count: int, report: Report_) -> Memorisation:
    """Continue training clips greedily from their first 5 s and their own MuLan tokens (MusicLM, section 5.5)."""
    numbers = clips.numbers("train")[:: max(len(clips.numbers("train")) // count, 1)][:count]
    engine = Engine(model.semantic, slots=16, cache_length=384)
    true = []
    for number in numbers:
        x = torch.from_numpy(clips.waveform(number))
        tokens_Q = model.semantic_model.tokens(x[None])[0].numpy()
        told = model.mulan.tokens(model.mulan.embed_audio(x))
        true.append(tokens_Q[PROMPT_TOKENS:])
        request = Request(
            key=str(number),
            conditioning=Conditioning(prefix_PD=model.semantic.embed_prefix(told)),
            given_NK=to_decode(tokens_Q[:PROMPT_TOKENS, None], len(tokens_Q)),
            seed=0,
            stage="memorisation",
            temperature=0.0,
        )
        engine.submit(request)
        report("memorisation", len(true), len(numbers), {})
    continued = {}
    while engine.busy:
        for completion in engine.step():
            continued[int(completion.key)] = completion.codes_NK[PROMPT_TOKENS:, 0]
    return memorisation(
        np.stack([continued[number] for number in numbers]),
        np.stack(true),
        token_distances(model.semantic_model.centres_CD.numpy()),
    )


def _codec_sets(clips: ClipSet, most: int) -> dict[str, list[Clip]]:
    """Return held-out music through a SoundFont that was never heard, and the kept ends of recordings."""
    held = [clips.clips[n] for n in clips.numbers("validation")]
    sets = {
        "music, unheard SoundFont": [c for c in held if UNHEARD in c.sources and not c.labels.scenes],
        "ambience": [c for c in held if c.labels.kind == "scene"],
    }
    return {
        name: [Clip(clips.waveform(c.number), SAMPLE_RATE_HZ, prompt=c.captions[0]) for c in chosen[:most]]
        for name, chosen in sets.items()
    }


def _codecs(
    model: MusicLM, sets: Mapping[str, Sequence[Clip]], panel: Panel, visqol_clips: int, report: Report_
) -> list[CodecEvaluation]:
    return [
        evaluate_codec(
            lambda x, _: round_trip(model.codec, x),
            chosen,
            name=name,
            yamnet=panel.yamnet,
            visqol_clips=visqol_clips,
            progress=lambda done, total: report("codec", done, total, {}),
        )
        for name, chosen in sets.items()
    ]


@torch.inference_mode()
def _entries_used(codec: SoundStream, clips: Sequence[Clip]) -> Figure:
    codes_NFK = [codec.encode(torch.from_numpy(clip.waveform)[None])[0].numpy() for clip in clips]
    used = codebook_use(np.concatenate(codes_NFK), codec.config.entries)
    return Figure(
        name="codec, entries used",
        meaning=f"share of a codebook's entries that occur, in that of {len(used)} where it is least",
        generated=min(used),
        clips=len(clips),
    )


def _stories(
    generator: Generator, model: MusicLM, panel: Panel, count: int, report: Report_
) -> list[tuple[str, Clip, StoryEvaluation]]:
    recipes = [
        _recipe(_in_words(story), number, STORY_S, story=[{"at_s": at, "prompt": p} for at, p, _ in story])
        for number, story in enumerate(STORIES[:count])
    ]
    waves = make(generator, recipes, lambda done, total: report("stories", done, total, {}))
    return [
        (
            _in_words(story),
            Clip(wave, _rate(model), prompt=_in_words(story)),
            evaluate_story(wave, _rate(model), [Section(at, labels) for at, _, labels in story], panel),
        )
        for story, wave in zip(STORIES, waves, strict=False)
    ]


def _long_pieces(generator: Generator, model: MusicLM, count: int, report: Report_) -> list[tuple[str, Clip, Drift]]:
    asked = list(LONG.items())[:count]
    recipes = [_recipe(prompt, number, LONG_S) for number, (prompt, _) in enumerate(asked)]
    waves = make(generator, recipes, lambda done, total: report("long pieces", done, total, {}))
    return [
        (prompt, Clip(wave, _rate(model), prompt=prompt), drift(wave, _rate(model), beat=beat))
        for (prompt, beat), wave in zip(asked, waves, strict=True)
    ]


def _melodies(generator: Generator, clips: ClipSet, count: int, report: Report_) -> list[Figure]:
    """Give held-out tunes, each played by one instrument that plays one note at a time, to other instruments."""
    found = []
    for number in clips.numbers("validation"):
        labels = clips.clips[number].labels
        if labels.kind == "solo" and not any(SOUNDS[name].chords for name in labels.instruments):
            found.append(Clip(clips.waveform(number), SAMPLE_RATE_HZ, prompt=clips.clips[number].captions[0]))
    tunes = found[:count]
    files = [_file(tune) for tune in tunes]
    recipes = [
        _recipe(TUNES_ASKED[number % len(TUNES_ASKED)], number, CLIP_S, melody=digest_of_bytes(file))
        for number, file in enumerate(files)
    ]
    waves = make(
        generator,
        recipes,
        lambda done, total: report("melodies", done, total, {}),
        [{"melody": file} for file in files],
    )
    results = [Clip(wave, SAMPLE_RATE_HZ) for wave in waves]
    return melody_figures(evaluate_melodies(tunes, results, MelodyJudge()))


def _file(clip: Clip) -> bytes:
    file = BytesIO()
    soundfile.write(file, clip.waveform, clip.sample_rate_hz, "PCM_16", format="FLAC")
    return file.getvalue()


def _in_words(story: tuple[tuple[float, str, Labels], ...]) -> str:
    return " / ".join(prompt for _, prompt, _ in story)


def _recipe(prompt: str, seed: int, duration_s: float, **controls: Any) -> dict[str, Any]:
    return {"prompt": prompt, "seed": seed, "duration_s": duration_s, "controls": controls}


def _rate(model: MusicLM) -> int:
    return model.config.codec.sample_rate_hz
