"""A playlist as other programs read it."""

import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pytest
import soundfile
from taste_house import NOON, sound

from db.objects import LocalObjects
from db.playlists import Playlist
from flows.playlists.files import PlaylistFilesError, write_files

NS = {"x": "http://xspf.org/ns/0/"}


@pytest.fixture
def objects(tmp_path):
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
def kept(objects):
    titles = ["calm piano", 'rain & <b>"thunder"</b>', "Flöte\nüber Wasser \u0007"]
    tracks = [
        {
            "asset": f"{n:064x}",
            "title": title,
            "duration_s": 1.0,
            "file": {"digest": objects.put(sound(n)), "name": "audio.flac", "media_type": "audio/flac"},
            "why": {"kind": "sound", "words": f"sounds like “{title}”, which you like"},
        }
        for n, title in enumerate(titles)
    ]
    body = json.dumps({"note": None, "tracks": tracks})
    return Playlist("ann", date(2026, 5, 1), body, "sha256:" + "d" * 64, NOON)


def test_every_path_of_the_m3u8_opens_from_where_it_lies(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path / "out")
    lines = (tmp_path / "out" / "2026-05-01.m3u8").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    paths = [line for line in lines if not line.startswith("#")]
    assert len(paths) == 3
    assert next(line.partition(",")[2] for line in lines if line.startswith("#EXTINF:1,")) == "calm piano"
    for path in paths:
        assert not path.startswith("/")
        soundfile.read(io.BytesIO((tmp_path / "out" / path).read_bytes()))


@pytest.mark.skipif(shutil.which("mpv") is None, reason="mpv is not installed")
def test_mpv_plays_every_piece_of_the_m3u8(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path / "out")
    words = ["--no-config", "--no-video", "--ao=null", "--untimed", "--term-playing-msg=plays ${filename}"]
    playlist = tmp_path / "out" / "2026-05-01.m3u8"
    told = subprocess.run(["mpv", *words, playlist], capture_output=True, text=True, timeout=120, cwd="/", check=True)
    played = [line.removeprefix("plays ") for line in told.stdout.splitlines() if line.startswith("plays ")]
    assert played == [Path(path).name for path in playlist.read_text().splitlines() if not path.startswith("#")]


def test_jspf_has_what_its_schema_asks_for(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path)
    playlist = json.loads((tmp_path / "2026-05-01.jspf").read_text(encoding="utf-8"))["playlist"]
    assert set(playlist) <= {"title", "creator", "date", "identifier", "track"}
    for track in playlist["track"]:
        assert set(track) <= {"location", "identifier", "title", "annotation", "duration"}
        assert isinstance(track["location"], list)
        assert isinstance(track["identifier"], list)
        assert track["duration"] == 1000
        assert soundfile.info(tmp_path / unquote(track["location"][0])).frames == 16_000


def test_xspf_has_what_its_schema_asks_for_in_its_order(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path)
    root = ET.parse(tmp_path / "2026-05-01.xspf").getroot()
    assert root.tag == "{http://xspf.org/ns/0/}playlist"
    assert root.get("version") == "1"
    assert root.findall("x:trackList", NS) == [root[-1]]
    allowed = ["location", "identifier", "title", "annotation", "duration"]
    for track in root.findall("x:trackList/x:track", NS):
        assert [element.tag.partition("}")[2] for element in track] == allowed
        assert int(track.findtext("x:duration", namespaces=NS)) == 1000
        location = unquote(track.findtext("x:location", namespaces=NS))
        assert soundfile.info(tmp_path / location).frames == 16_000
    assert root.findtext("x:trackList/x:track[2]/x:title", namespaces=NS) == 'rain & <b>"thunder"</b>'


def test_the_page_says_why_and_lets_no_title_be_markup(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path)
    page = (tmp_path / "2026-05-01.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == 3
    assert "which you like" in page
    assert "<b>" not in page


def test_what_was_withdrawn_is_in_no_file_and_what_was_written_of_it_before_is_removed(kept, objects, tmp_path):
    write_files(kept, objects, tmp_path)
    gone = f"{1:064x}"
    for path in write_files(kept, objects, tmp_path, [gone]):
        text = path.read_text(encoding="utf-8")
        assert "calm" in text, path
        assert "thunder" not in text, path
        assert gone not in text, path
    assert sorted(path.name[:4] for path in (tmp_path / "tracks").iterdir()) == ["calm", "flot"]
    write_files(kept, objects, tmp_path, [f"{n:064x}" for n in range(3)])
    assert list((tmp_path / "tracks").iterdir()) == []
    assert "Nothing tonight: all of it was withdrawn." in (tmp_path / "2026-05-01.html").read_text(encoding="utf-8")


def test_writing_again_changes_nothing_and_a_file_in_the_way_is_told(kept, objects, tmp_path):
    first = {path: path.read_bytes() for path in write_files(kept, objects, tmp_path / "out")}
    assert {path: path.read_bytes() for path in write_files(kept, objects, tmp_path / "out")} == first
    (tmp_path / "file").write_text("")
    with pytest.raises(PlaylistFilesError, match="cannot be written"):
        write_files(kept, objects, tmp_path / "file")
