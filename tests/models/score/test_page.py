"""Engraved pages: what is drawn, and that they stand alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from models.score.draft import Draft
from models.score.notation import write_musicxml
from models.score.page import EngravingError, engrave

MakeDraft = Callable[..., Draft]
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"


def words(page: bytes) -> str:
    return " ".join("".join(t.itertext()).strip() for t in ElementTree.fromstring(page).iter(f"{SVG}text"))


def test_every_note_is_drawn_on_a4_pages(tonal_draft: MakeDraft) -> None:
    draft = tonal_draft(("flute", "piano"), bars=40)
    pages = engrave(write_musicxml(draft)).pages
    drawn = [e for page in pages for e in ElementTree.fromstring(page).iter(f"{SVG}g") if e.get("class") == "note"]

    assert len(drawn) == sum(len(staff) for part in draft.parts for staff in part.staves)
    assert len(pages) > 1
    assert all((r.get("width"), r.get("height")) == ("210mm", "297mm") for r in map(ElementTree.fromstring, pages))


def test_title_names_tempo_and_key_are_readable(tonal_draft: MakeDraft) -> None:
    first = words(engrave(write_musicxml(tonal_draft(("clarinet", "cello"), key="Bb minor", metre="6/8"))).pages[0])

    for part in ("A piece made by rule", "Score draft in B♭ minor", "Clarinet in B♭", "Cello", "♩. = 64"):
        assert part in re.sub(r"\s+", " ", first)


def test_a_page_needs_no_other_file_and_no_music_font(tonal_draft: MakeDraft) -> None:
    page = engrave(write_musicxml(tonal_draft(("violin", "organ")))).pages[0]
    root = ElementTree.fromstring(page)
    ids = {e.get("id") for e in root.iter()}
    links = [e.get(XLINK) or e.get("href") for e in root.iter(f"{SVG}use")]

    assert links
    assert all(link is not None and link[0] == "#" and link[1:] in ids for link in links)
    assert b"@font-face" not in page
    assert not re.search(r"[\ue000-\uf8ff]", page.decode())


def test_a_long_title_stays_within_the_page(tonal_draft: MakeDraft) -> None:
    musicxml = write_musicxml(tonal_draft(("flute",))).replace(b"A piece made by rule", b"A very long title " * 8)
    heading = next(
        t for t in ElementTree.fromstring(engrave(musicxml).pages[0]).iter(f"{SVG}text") if "long" in (t.text or "")
    )

    assert int(heading.get("font-size", "0px")[:-2]) * 0.5 * len(heading.text or "") < 18_500


def test_the_pdf_has_the_same_pages(tonal_draft: MakeDraft) -> None:
    engraving = engrave(write_musicxml(tonal_draft(("violin", "violin", "viola", "cello"), bars=30)))

    assert engraving.pdf.startswith(b"%PDF-")
    assert f"/Count {len(engraving.pages)}".encode() in engraving.pdf


def test_the_bytes_are_the_same_each_time(tonal_draft: MakeDraft) -> None:
    musicxml = write_musicxml(tonal_draft(("violin", "piano"), key="E minor"))
    first = engrave(musicxml)
    engrave(write_musicxml(tonal_draft(("tuba",))))

    assert engrave(musicxml) == first


def test_pages_engraved_side_by_side_are_the_same_as_alone(tonal_draft: MakeDraft) -> None:
    pieces = [write_musicxml(tonal_draft((name,), bars=12)) for name in ("flute", "piano", "cello", "harp")]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engrave, pieces))

    assert together == [engrave(piece) for piece in pieces]


def test_engraving_is_silent(tonal_draft: MakeDraft, capfd: pytest.CaptureFixture[str]) -> None:
    engrave(write_musicxml(tonal_draft(("horn", "harp"), metre="9/8")))

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [b"", b"not XML", b"<score-partwise>", b"\xff\xfe"])
def test_what_is_not_a_score_is_an_error(data: bytes) -> None:
    with pytest.raises(EngravingError):
        engrave(data)
