"""Free words read and decided: a table of prompts, and what must hold for any text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.score.controls import MAX_BPM, METRES, MIN_BPM, ControlError, ScoreControls
from models.score.prompt import EmptyPromptError, decide, explicit_controls, read_prompt

QUARTET = ["violin", "violin", "viola", "cello"]
PROMPTS: list[tuple[str, dict[str, Any]]] = [
    # instruments and ensembles
    ("solo cello", {"instruments": ["cello"]}),
    ("a string quartet", {"instruments": QUARTET}),
    ("piano trio, lively", {"instruments": ["violin", "cello", "piano"]}),
    ("brass quintet playing a fanfare", {"instruments": ["horn", "trumpet", "trumpet", "trombone", "tuba"]}),
    ("duet for flute and harp", {"instruments": ["flute", "harp"]}),
    ("two violins and a cello", {"instruments": ["violin", "violin", "cello"]}),
    ("three recorders", {"instruments": ["recorder"] * 3}),
    ("a fiddle tune with accordion", {"instruments": ["violin", "accordion"]}),
    ("French Horns over strings", {"instruments": ["horn", "strings"]}),
    ("string quartet where the cello sings", {"instruments": ["voice", *QUARTET]}),
    ("wind quintet", {"instruments": ["flute", "oboe", "clarinet", "bassoon", "horn"]}),
    ("choir and organ", {"instruments": ["choir", "organ"]}),
    ("bass clarinet", {"instruments": ["clarinet"]}),
    ("a warm cor anglais solo", {"instruments": ["english horn"]}),
    # stand-ins and what no staff can hold
    ("dreamy synth pad", {"instruments": ["strings"], "note": "strings plays for it"}),
    ("ukulele song", {"instruments": ["guitar"], "note": "guitar plays for it"}),
    ("electric guitar and drums", {"instruments": ["guitar"], "left_out": "drums"}),
    ("electronic drums", {"instruments": ["marimba"], "left_out": "electronic drums"}),
    # negation
    ("jazz with saxophone and piano, no drums", {"instruments": ["saxophone", "piano"], "left_out": None}),
    ("piano trio without cello", {"instruments": ["violin", "piano"]}),
    ("harp without piano or strings", {"instruments": ["harp"]}),
    ("not sad, a clarinet", {"instruments": ["clarinet"], "leans_not": ("mode", "minor")}),
    ("no piano but a guitar", {"instruments": ["guitar"]}),
    # keys
    ("piano piece in D minor", {"key": "D minor"}),
    ("nocturne in c-sharp minor", {"key": "C# minor"}),
    ("a march in E flat major", {"key": "Eb major"}),
    ("B♭ major, brass", {"key": "Bb major"}),
    ("folk song in A minor", {"key": "A minor"}),
    ("in a minor key for piano", {"key": None, "leans": ("mode", "minor")}),
    ("a major celebration", {"key": None}),
    ("key: F#m, guitar", {"key": "F# minor"}),
    ("D dorian flute melody", {"key": "D minor"}),
    # metre
    ("slow waltz", {"leans": ("metre", "3/4"), "tempo": [54, 72]}),
    ("an Irish jig", {"leans": ("metre", "6/8")}),
    ("6/8, flowing", {"metre": "6/8", "leans": ("texture", "flowing")}),
    ("a piece in 7/8", {"metre": "4/4", "note": "nearest"}),
    ("military march", {"leans": ("metre", "4/4")}),
    # tempo
    ("Adagio for strings", {"tempo": [60, 74], "instruments": ["strings"]}),
    ("house at 120 bpm", {"bpm": [120]}),
    ("90-100 BPM groove", {"bpm": [90, 100]}),
    ("very fast and furious", {"tempo": [168, 196], "leans": ("mode", "minor")}),
    ("presto", {"tempo": [168, 196]}),
    # moods, scenes, texture, loudness, length
    ("melancholic, rain outside", {"leans": ("mode", "minor")}),
    ("cheerful morning", {"leans": ("mode", "major")}),
    ("horror", {"leans": ("mode", "minor")}),
    ("a chase", {"leans": ("density", "dense")}),
    ("lullaby", {"leans": ("scoring", "celesta")}),
    ("arpeggiated harp", {"leans": ("texture", "flowing")}),
    ("baroque fugue", {"leans": ("texture", "contrapuntal")}),
    ("pianissimo organ", {"leans": ("dynamics", "pp")}),
    ("16 bars of piano", {"bars": 16, "instruments": ["piano"]}),
]


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS, ids=[p for p, _ in PROMPTS])
def test_a_prompt_is_read_as_a_musician_would(prompt: str, expected: dict[str, Any]) -> None:
    reading = read_prompt(prompt)

    if "instruments" in expected:
        assert list(reading.instruments) == expected["instruments"]
    for name, kind in (("key", "key"), ("metre", "metre"), ("bpm", "tempo"), ("bars", "bars")):
        if name in expected:
            assert reading.fixed(kind) == expected[name]  # type: ignore[arg-type]
    if "tempo" in expected:
        assert reading.tempo_bands() == [expected["tempo"]]
    if "leans" in expected:
        control, value = expected["leans"]
        assert value in reading.weights(control)
    if "leans_not" in expected:
        control, value = expected["leans_not"]
        assert value not in reading.weights(control)
    if "note" in expected:
        assert any(expected["note"] in cue.note for cue in reading.cues)
    if "left_out" in expected:
        left_out = expected["left_out"]
        assert [line.split(":")[0] for line in reading.left_out] == ([left_out] if left_out else [])


def test_each_cue_points_at_its_words() -> None:
    text = "Très lent: a sad Cello in F♯ minor, 72 bpm, ¾? no drums"
    reading = read_prompt(text)

    assert all(text[cue.start : cue.end].strip() == cue.words for cue in reading.cues)
    assert [cue.words for cue in reading.cues] == ["sad", "Cello", "in F♯ minor", "72 bpm", "drums"]
    assert reading.not_understood == ("Très", "lent")


def test_a_reading_is_json() -> None:
    reading = read_prompt("lively synth and flute in G, 3/4, no drums, zzyzx")
    out = json.loads(json.dumps(reading.as_dict(), allow_nan=False))

    assert out["instruments"] == ["flute", "electric piano"]
    assert out["not_understood"] == ["zzyzx"]
    last = out["understood"][-1]
    assert (last["words"], last["at"], last["kind"], last["negated"]) == ("drums", [37, 42], "unpitched", True)


@pytest.mark.parametrize("prompt", ["", "   ", "?!…", "\u200b\n"])
def test_a_prompt_without_words_is_refused(prompt: str) -> None:
    with pytest.raises(EmptyPromptError):
        read_prompt(prompt)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300), st.integers(0, 2**48 - 1), st.floats(1, 180))
def test_any_text_gives_valid_controls(text: str, seed: int, duration_s: float) -> None:
    try:
        reading = read_prompt(text)
    except EmptyPromptError:
        assert not any(c.isalnum() for c in text)
        return

    assert isinstance(decide(reading, {}, duration_s, seed), ScoreControls)
    json.dumps(reading.as_dict())


WORDS = st.sampled_from(
    ("no", "without", "two", "piano trio", "drums", "in a minor", "C# major", "3/4", "7/8", "999 bpm", "120 bpm",
     "12 bars",
     "slow", "presto", "waltz", "horror", "3/8", "fast", "violin", "cello", "choir", "synth", "brass quintet",
     "orchestra",
     "and", "or", ",", ".", "sad", "happy", "key of E flat", "2/2", "jig", "♩ = 60", "in D", "9/8", "double bass")
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=25), st.integers(0, 2**48 - 1))
def test_any_musical_words_give_valid_controls(words: list[str], seed: int) -> None:
    text = " ".join(words)
    if any(c.isalnum() for c in text):
        assert isinstance(decide(read_prompt(text), {}, 45.0, seed), ScoreControls)


def test_deciding_depends_on_words_and_seed_alone() -> None:
    reading = read_prompt("something gentle")
    first = [decide(reading, {}, 60.0, seed) for seed in range(20)]

    assert first == [decide(read_prompt("something gentle"), {}, 60.0, seed) for seed in range(20)]
    assert len({(c.key, c.metre, c.tempo_bpm, c.instruments) for c in first}) > 10


@pytest.mark.parametrize("duration_s", [5.0, 20.0, 47.3, 60.0, 300.0])
@pytest.mark.parametrize("prompt", ["calm harp", "a fast jig", "lento organ", "march", "12/8 choir"])
def test_open_tempo_makes_whole_bars_last_as_long_as_asked(prompt: str, duration_s: float) -> None:
    for seed in range(10):
        controls = decide(read_prompt(prompt), {}, duration_s, seed)
        longest = max(0.03 * duration_s, controls.bar_s / 2)

        assert abs(controls.bars * controls.bar_s - duration_s) <= longest


def test_a_tempo_given_in_words_is_kept_and_counts_the_felt_beat() -> None:
    assert decide(read_prompt("piano 4/4 at 100 bpm"), {}, 60.0, 1).tempo_bpm == 100
    assert decide(read_prompt("piano 6/8 at 60 bpm"), {}, 60.0, 1).tempo_bpm == 90


def test_moods_decide_most_drafts_but_the_seed_has_a_say() -> None:
    modes = [decide(read_prompt("sad lonely evening"), {}, 30.0, s).key.mode for s in range(100)]

    assert modes.count("minor") > 80


def test_controls_of_the_order_outrule_the_words() -> None:
    reading = read_prompt("fast happy solo flute in D major, 3/4, pianissimo")
    order = {
        "instruments": ["cello", "oboe"], "key": "F minor", "metre": "6/8", "tempo_bpm": 50, "bars": 9,
        "texture": "chordal", "density": "dense", "dynamics": "ff", "title": "Otherwise",
    }  # fmt: skip
    controls = decide(reading, order, 60.0, 5)

    assert controls.as_dict() == order | {"instruments": ["oboe", "cello"]}


@pytest.mark.parametrize(
    ("controls", "says"),
    [
        ({"keys": "D minor"}, "'keys' is not known"),
        ({"key": "H minor"}, "not a key"),
        ({"key": 3}, "not a text"),
        ({"metre": "7/8"}, "metre '7/8'"),
        ({"tempo_bpm": 1000}, "outside"),
        ({"tempo_bpm": 90.5}, "whole number"),
        ({"tempo_bpm": True}, "whole number"),
        ({"bars": 0}, "outside"),
        ({"instruments": "flute"}, "not a list"),
        ({"instruments": ["kazoo"]}, "kazoo"),
        ({"instruments": []}, "0 given"),
        ({"dynamics": "loud"}, "dynamics 'loud'"),
    ],
)
def test_a_wrong_control_is_refused_with_its_name(controls: dict[str, Any], says: str) -> None:
    with pytest.raises(ControlError, match=says):
        explicit_controls(controls)


def test_more_bars_than_a_draft_can_have_are_refused() -> None:
    with pytest.raises(ControlError, match="duration_s 3600"):
        decide(read_prompt("piano in 3/8 at 200 bpm"), {}, 3600.0, 1)


def test_a_title_is_short_and_can_be_printed() -> None:
    controls = decide(read_prompt("slow\x00 \ud800 piano " + "very " * 40 + "long"), {}, 20.0, 1)

    assert controls.title.startswith("Slow piano very")
    assert len(controls.title) <= 60
    assert controls.title.isprintable()
    assert replace(controls, title="") != controls


def test_every_metre_and_tempo_a_prompt_can_reach_is_playable() -> None:
    for metre in METRES:
        for tempo in ("grave", "presto", "30 bpm", "240 bpm"):
            controls = decide(read_prompt(f"{tempo} {metre} flute"), {}, 30.0, 2)
            assert MIN_BPM <= controls.tempo_bpm <= MAX_BPM


def test_what_a_song_is_for_is_not_what_it_is_without() -> None:
    reading = read_prompt("a song without words for voice and piano in A major")
    assert decide(reading, {}, 20.0, 1).instruments == ("voice", "piano")
