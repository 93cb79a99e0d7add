"""Engraving: MusicXML to A4 pages that open in a browser (SVG) and print (PDF), through Verovio and Typst."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import unescape
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from xml.etree import ElementTree

import typst
import verovio

_OPTIONS = {
    "pageWidth": 2100,  # A4 in tenths of a millimetre
    "pageHeight": 2970,
    "pageMarginTop": 150,
    "pageMarginBottom": 130,
    "pageMarginLeft": 150,
    "pageMarginRight": 150,
    "scale": 100,
    "svgViewBox": True,
    "header": "auto",
    "footer": "none",
    "breaks": "auto",
    "systemDivider": "none",
    "justifyVertically": True,
    "spacingStaff": 9,
    "spacingSystem": 8,
    "smuflTextFont": "none",  # the musical letters within texts are put in plain Unicode below
    "xmlIdSeed": 1,  # otherwise ids, and so bytes, differ from run to run
}
_UNITS = ((2, 9.0), (3, 8.0), (99, 7.0))  # half a staff space, by the staves of a system: staves of 7.2 to 5.6 mm
_MUSIC_TEXT = re.compile(r'<tspan font-family="\w+" font-size="\d+px">([\ue000-\uf8ff\s]+)</tspan>')
_NOTE_LETTERS = str.maketrans({"\ueca5": "♩", "\ueca7": "♪", "\uecb7": ".", " ": None})  # SMuFL's metronome marks
_HEADING = re.compile(  # how Verovio writes a credit
    r'<text font-size="0px">\s*<tspan id="\w+" class="rend" x="(?P<x>\d+)" y="\d+" text-anchor="middle">\s*'
    r'<tspan id="\w+" class="text">\s*<tspan font-size="\d+px">(?P<words>[^<]*)</tspan>(?:\s*</tspan>){2}\s*</text>'
)
_HEADINGS = ((540, 40), (330, 530))  # size and base line of title and subtitle
_WIDTH = 18000  # between the margins, in Verovio's hundredths of a millimetre
_ROOT = '<svg viewBox="0 0 2100 2970"'

_ONE_AT_A_TIME = Lock()  # Verovio counts ids for the whole process


class EngravingError(Exception):
    """A document that cannot be engraved."""


@dataclass(frozen=True, slots=True)
class Engraving:
    """A piece as A4 pages: one SVG document each, and all of them in one PDF."""

    pages: tuple[bytes, ...]
    pdf: bytes


def engrave(musicxml: bytes) -> Engraving:
    """Engrave a MusicXML document. The same document gives the same bytes.

    Raises:
        EngravingError: the document is not MusicXML with at least one note or rest to draw.
    """
    pages = tuple(_draw(musicxml))
    return Engraving(pages, _bind(pages))


def _draw(musicxml: bytes) -> list[bytes]:
    with _ONE_AT_A_TIME:
        return _draw_alone(musicxml)


def _draw_alone(musicxml: bytes) -> list[bytes]:
    verovio.enableLog(verovio.LOG_OFF)  # it warns of what players never see, on standard error
    verovio.setDefaultResourcePath(str(files("verovio") / "data"))  # its import sets this for one thread only
    toolkit = verovio.toolkit()
    staves = musicxml.count(b"<score-part ") + musicxml.count(b"<staves>2")
    unit = next(size for most, size in _UNITS if staves <= most)
    toolkit.setOptions(_OPTIONS | {"unit": unit})
    toolkit.resetXmlIdSeed(1)
    if not _is_score(musicxml) or not toolkit.loadData(musicxml.decode()):
        raise EngravingError(f"not a MusicXML score: {musicxml[:60]!r}")
    return [_stand_alone(toolkit.renderToSVG(n)) for n in range(1, toolkit.getPageCount() + 1)]


def _is_score(musicxml: bytes) -> bool:
    try:
        root = ElementTree.fromstring(musicxml)  # noqa: S314  Python's parser expands no outside entity
    except ElementTree.ParseError:
        return False
    return root.tag == "score-partwise" and root.find("part/measure") is not None


def _stand_alone(svg: str) -> bytes:
    """Give a page its size on paper, white ground, headings of two sizes, and texts that need no music font."""
    svg = svg.replace(_ROOT, f'<svg width="210mm" height="297mm" style="background:#fff" {_ROOT[5:]}', 1)
    svg = _MUSIC_TEXT.sub(lambda m: f'<tspan font-size="405px">{m[1].translate(_NOTE_LETTERS)}</tspan>', svg)
    sizes = iter(_HEADINGS)
    svg = _HEADING.sub(lambda m: _heading(m, next(sizes)), svg, count=len(_HEADINGS))
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + svg).encode()


def _heading(match: re.Match[str], style: tuple[int, int]) -> str:
    """Write a heading in its size, smaller where it would be wider than the page, as one anchored text."""
    (size, y), words = style, match["words"]
    size = min(size, int(_WIDTH / (0.55 * max(len(unescape(words)), 1))))
    return f'<text x="{match["x"]}" y="{y}" text-anchor="middle" font-size="{size}px">{words}</text>'


def _bind(pages: tuple[bytes, ...]) -> bytes:
    """Put the pages into one PDF, as outlines, without a date."""
    names = [f"page-{number}.svg" for number in range(1, len(pages) + 1)]
    images = "\n".join(f"#image({json.dumps(file)}, width: 100%, height: 100%)" for file in names)
    source = f"#set document(date: none)\n#set page(width: 210mm, height: 297mm, margin: 0mm)\n{images}\n"
    with TemporaryDirectory(prefix="tutti-page-") as temporary:
        folder = Path(temporary)
        for file, page in zip(names, pages, strict=True):
            (folder / file).write_bytes(page)
        main = folder / "pages.typ"
        main.write_text(source, encoding="utf-8")
        return typst.compile(main, root=folder, ignore_system_fonts=True, format="pdf")
