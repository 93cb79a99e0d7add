"""Generated clips that obey their prompts, and such that do not."""

import numpy as np
import pytest
from sounds import SAMPLE_RATE_HZ, play

from models.evaluation.clip import Clip, Labels
from models.evaluation.codec import low_pass
from models.evaluation.generation import evaluate_generation, kind_of, noise_like
from models.evaluation.melodies import evaluate_melodies, melody_figures
from models.evaluation.obedience import solo
from models.evaluation.story import Section, evaluate_story
from models.judges.melody import MelodyJudge
from models.judges.panel import Panel

PROGRAMS = {"piano": (0, 60), "choir": (52, 60), "flute": (73, 72)}


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel.load()


def clip(instrument: str, fast: bool, drums: bool = False) -> Clip:
    program, tonic = PROGRAMS[instrument]
    labels = Labels(instruments=[instrument], tempo_band="fast" if fast else "slow", drums=drums, key="C major")
    sound = play(program, tonic=tonic, notes_per_s=8.0 if fast else 1.0, duration_s=3.0, drums=drums)
    return Clip(sound, SAMPLE_RATE_HZ, labels, f"{'fast' if fast else 'slow'} {instrument}, {drums=}")


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [clip(name, fast) for name in PROGRAMS for fast in (False, True)] + [clip("piano", True, drums=True)]


@pytest.fixture(scope="module")
def evaluation(clips, panel):
    return evaluate_generation(clips, clips, panel=panel, round_trip=low_pass)


def figure(evaluation, name):
    (found,) = [f for f in evaluation.figures if f.name == name]
    return found


def test_clips_that_obey_score_as_the_real_and_above_shuffled_prompts(evaluation):
    for name in ("instrument, top 1 of 11", "drums, AUC", "tempo, AUC"):
        found = figure(evaluation, name)
        assert found.generated == found.real > found.shuffled, name
        assert found.reached, name


def test_each_figure_counts_the_clips_it_is_about(evaluation):
    assert figure(evaluation, "instrument, top 1 of 11").clips == 6
    assert figure(evaluation, "drums, AUC").clips == 7
    assert figure(evaluation, "key").clips == 7


def test_a_figure_about_what_nobody_asked_for_is_left_out(evaluation):
    assert not [f for f in evaluation.figures if f.name.startswith(("scene", "MuLan", "tempo within"))]


def test_the_render_of_the_same_prompt_is_nearer_than_that_of_another(evaluation):
    found = figure(evaluation, "KL divergence, YAMNet")
    assert found.generated == 0 < found.round_trip < found.shuffled


def test_the_confusion_counts_the_solos(evaluation):
    assert {name: sum(row.values()) for name, row in evaluation.confusion.items()} == dict.fromkeys(PROGRAMS, 2)


def test_a_joint_embedding_is_asked_about_prompts_in_place_and_shuffled(clips, panel):
    def agreement(heard, prompts):
        return np.array([[float(c.prompt == p) for p in prompts] for c in heard])

    found = evaluate_generation(clips[:2], clips[:2], panel=panel, agreement=agreement)
    consistency = figure(found, "MuLan cycle consistency")
    assert (consistency.generated, consistency.shuffled) == (1.0, 0.0)


def test_noise_like_a_clip_has_its_spectrum_and_not_its_course(clips):
    (noise,) = noise_like(clips[:1], seed=0)
    spectra = [np.abs(np.fft.rfft(c.waveform)) for c in (clips[0], noise)]
    assert np.allclose(spectra[0][1:-1], spectra[1][1:-1], atol=0.05)
    assert abs(np.corrcoef(clips[0].waveform, noise.waveform)[0, 1]) < 0.2


def test_too_few_clips_are_refused(clips, panel):
    with pytest.raises(ValueError, match="at least 2 of each"):
        evaluate_generation(clips[:1], clips, panel=panel)


def test_a_label_that_names_no_key_is_refused_before_anything_is_heard(clips, panel):
    odd = Clip(clips[0].waveform, SAMPLE_RATE_HZ, Labels(key="H major"))
    with pytest.raises(ValueError, match="'H major' is not a key"):
        evaluate_generation([clips[0], odd], clips, panel=panel, progress=lambda *_: pytest.fail("heard"))


def test_a_solo_is_one_judged_instrument_without_drums_or_scene():
    assert solo(Labels(instruments=["vibraphone"])) == "mallets"
    assert solo(Labels(instruments=["violin", "violin"])) == "violin"
    assert solo(Labels(instruments=["violin", "piano"])) is None
    assert solo(Labels(instruments=["piano"], drums=True)) is None
    assert solo(Labels(instruments=["piano"], scenes=["rain"])) is None
    assert solo(Labels(instruments=["bagpipes"])) is None


def test_a_clip_is_of_music_of_a_scene_or_of_both():
    assert kind_of(Labels(instruments=["piano"])) == "music"
    assert kind_of(Labels(scenes=["rain"])) == "scene"
    assert kind_of(Labels(scenes=["rain"], drums=True)) == "both"


def test_a_story_is_judged_section_by_section(panel):
    parts = [play(PROGRAMS[name][0], tonic=PROGRAMS[name][1]) for name in ("choir", "flute", "piano")]
    asked = [Section(4.0 * n, Labels(instruments=[name])) for n, name in enumerate(("choir", "flute", "flute"))]
    told = evaluate_story(np.concatenate(parts), SAMPLE_RATE_HZ, asked, panel)
    assert [s.obeyed for s in told.sections] == [True, True, False]
    assert [s.stands_out for s in told.sections] == [True, True, False]
    assert [s.at_s for s in told.seams] == [4.0, 8.0]


def test_results_that_follow_their_melodies_correlate_with_them_and_not_with_others():
    tunes = [(0, 2, 4, 5, 7, 9, 11, 12), (12, 11, 9, 7, 5, 4, 2, 0), (0, 7, 0, 7, 0, 7, 0, 7)]
    melodies = [Clip(play(73, tonic=69, tune=tune), SAMPLE_RATE_HZ) for tune in tunes]
    results = [Clip(play(40, tonic=64, tune=tune), SAMPLE_RATE_HZ) for tune in tunes]
    found = evaluate_melodies(melodies, results, MelodyJudge())
    assert found.mean > 0.7
    assert abs(found.shuffled_mean) < 0.5
    assert (len(found.own), len(found.others)) == (3, 6)
    correlation, notes = melody_figures(found)
    assert (correlation.generated, correlation.shuffled) == (found.mean, found.shuffled_mean)
    assert notes.generated == pytest.approx(np.mean(found.own_notes))
    an_octave_up = [Clip(play(73, tonic=81, tune=tune), SAMPLE_RATE_HZ) for tune in tunes]
    notes = melody_figures(evaluate_melodies(melodies, an_octave_up, MelodyJudge()))[1]
    assert notes.generated > 0.8 > 0.5 > notes.shuffled
