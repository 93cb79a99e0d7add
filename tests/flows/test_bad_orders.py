"""Orders that cannot be used: one clear line each, naming file, line and key."""

# ruff: noqa: E501  (a table reads best with a case a line)

import re

import pytest

from flows.errors import OrderError
from flows.order import OrderOptions, load_order

HEAD = "catalogue: a\ntracks:\n"

YAML = {
    "unknown key": (HEAD + "- prompt: x\n  cuont: 2", "o.yaml:4: tracks[0].cuont: unknown key; did you mean 'count'?"),
    "unknown top key": ("catalogue: a\ncolour: red\ntracks: [{prompt: x}]", "o.yaml:2: colour: unknown key"),
    "empty story": (HEAD + "- story: []", "tracks[0].story: begins with a section at_s: 0"),
    "story that begins late": (HEAD + "- story: [{at_s: 2, prompt: x}]", "tracks[0].story: begins with a section at_s: 0"),
    "story that goes back": (HEAD + "- story: [{at_s: 0, prompt: x}, {at_s: 9, prompt: y}, {at_s: 5, prompt: z}]", "sections go on in time"),
    "story past the end": (HEAD + "- story: [{at_s: 0, prompt: x}, {at_s: 40, prompt: y}]", "tracks[0].story: its last section begins after the end, at 30 s"),
    "story with a moment": (HEAD + "- story: [{at_s: 0, prompt: x}, {at_s: 5, prompt: y}, {at_s: 5.5, prompt: z}]", "tracks[0].story: each section lasts 1 s or more"),
    "story that ends in a moment": (HEAD + "- story: [{at_s: 0, prompt: x}, {at_s: 29.99999, prompt: y}]", "tracks[0].story: its last section lasts less than 1 s"),
    "story and prompt": (HEAD + "- prompt: x\n  story: [{at_s: 0, prompt: y}]", "o.yaml:4: tracks[0].story: a track has 'story' or a prompt"),
    "unknown key of a section": (HEAD + "- story: [{at: 0, prompt: x}]", "o.yaml:3: tracks[0].story[0].at"),
    "key of a track in a section": (HEAD + "- story: [{at_s: 0, prompt: harp, duration_s: 5}]", "tracks[0].story[0].duration_s: unknown key; known keys: at_s, prompt"),
    "key of a track in vocals": (HEAD + "- accompany: {vocals: v, count: 3}", "tracks[0].accompany.count: unknown key; known keys: vocals, separate, balance_db"),
    "key of vocals misspelt": (HEAD + "- accompany: {vocals: v, seperate: true}", "tracks[0].accompany.seperate: unknown key; did you mean 'separate'?"),
    "a section that is a word": (HEAD + "- story: [harp]", "tracks[0].story[0]: must be a mapping, not 'harp'"),
    "deliver": ("catalogue: a\ndeliver: {}\ntracks: [{prompt: x}]", "o.yaml:2: deliver: unknown key"),
    "text for a number": (HEAD + "- prompt: x\n  count: many", "o.yaml:4: tracks[0].count: must be a whole number, not 'many'"),
    "a truth for a number": (HEAD + "- prompt: x\n  count: yes", "tracks[0].count: must be a whole number, not True"),
    "a number for text": (HEAD + "- prompt: 12", "o.yaml:3: tracks[0].prompt: must be text, not 12"),
    "a fraction of copies": (HEAD + "- prompt: x\n  count: 1.5", "must be a whole number"),
    "empty prompt": (HEAD + "- prompt: ''", "o.yaml:3: tracks[0].prompt: empty"),
    "blank prompt": (HEAD + "- prompt: '  '", "tracks[0].prompt: empty"),
    "null prompt": (HEAD + "- prompt:", "o.yaml:3: tracks[0]: a track needs 'prompt', 'prompts_from', 'story' or 'accompany'"),
    "endless prompt": (HEAD + f"- prompt: {'x' * 3000}", "tracks[0].prompt: 3000 characters"),
    "zero duration": ("catalogue: a\nduration_s: 0\ntracks: [{prompt: x}]", "o.yaml:2: duration_s: 0 is outside 1 to 900"),
    "negative duration": (HEAD + "- prompt: x\n  duration_s: -3", "tracks[0].duration_s: -3 is outside"),
    "absurd duration": (HEAD + "- prompt: x\n  duration_s: 1.0e+9", "tracks[0].duration_s: 1e+09 is outside"),
    "a power that YAML reads as text": ("catalogue: a\nduration_s: 1e1\ntracks: [{prompt: x}]", "o.yaml:2: duration_s: must be a number, not '1e1'; YAML reads that as text, and 1.0e+1 as a number"),
    "NaN duration": (HEAD + "- prompt: x\n  duration_s: .nan", "o.yaml:4: tracks[0].duration_s: nan is outside"),
    "infinite duration": (HEAD + "- prompt: x\n  duration_s: .inf", "duration_s: inf is outside"),
    "count zero": (HEAD + "- prompt: x\n  count: 0", "o.yaml:4: tracks[0].count: must be greater than or equal to 1"),
    "absurd count": (HEAD + "- prompt: x\n  count: 99999999999", "tracks[0].count: must be less than"),
    "absurd product": (HEAD + "- &t {prompt: x, count: 9000000}\n- *t", "asks for more than 10,000,000 items"),
    "negative seed": ("catalogue: a\nseed: -1\ntracks: [{prompt: x}]", "o.yaml:2: seed: must be greater than"),
    "seed and count past the end": (HEAD + "- {prompt: x, seed: 281474976710655, count: 2}", "tracks[0].seed: with 'count'"),
    "no catalogue": ("tracks: [{prompt: x}]", "o.yaml:1: catalogue: is needed"),
    "a path as catalogue": ("catalogue: ../x\ntracks: [{prompt: x}]", "o.yaml:1: catalogue: '../x' is no catalogue name"),
    "no tracks": ("catalogue: a", "tracks: needed"),
    "empty tracks": ("catalogue: a\ntracks: []", "o.yaml:2: tracks: needed"),
    "a track that is a word": (HEAD + "- piano", "o.yaml:3: tracks[0]: a track is a mapping"),
    "both prompts": (HEAD + "- prompt: x\n  prompts_from: c.csv#c", "o.yaml:4: tracks[0].prompts_from: a track has"),
    "unknown kind": ("catalogue: a\nkind: opera\ntracks: [{prompt: x}]", "o.yaml:2: kind: must be 'score', 'soundscape' or 'accompaniment'"),
    "empty model": ("catalogue: a\nmodel: ''\ntracks: [{prompt: x}]", "o.yaml:2: model: must not be empty"),
    "duplicate key": ("catalogue: a\ncatalogue: b\ntracks: []", "o.yaml:2: catalogue: this key is there twice"),
    "duplicate track key": (HEAD + "- prompt: x\n  prompt: y", "o.yaml:4: tracks[0].prompt: this key is there twice"),
    "not YAML": ("catalogue: [a\ntracks: {", "o.yaml:2: not YAML"),
    "tabs": ("catalogue: a\ntracks:\n\t- prompt: x", "o.yaml:3: not YAML"),
    "a list": ("- prompt: x", "o.yaml:1: an order is a mapping"),
    "two documents": ("catalogue: a\n---\ncatalogue: b", "not YAML"),
    "python object": ("catalogue: !!python/object:os.system a\ntracks: []", "o.yaml:1: not YAML"),
    "no such date": (HEAD + "- prompt: 2026-13-45", "a value cannot be read"),
    "endless alias": ("catalogue: a\ntracks: &t [*t]", "o.yaml:2: nested too deeply"),
    "deep nest": ("catalogue: a\ntracks: " + "[" * 30 + "]" * 30, "nested too deeply"),
    "empty file": ("", "o.yaml: empty"),
    "only a comment": ("# later", "o.yaml: empty"),
    "no hash in prompts_from": (HEAD + "- prompts_from: c.csv", "o.yaml:3: tracks[0].prompts_from: 'c.csv' is not of the form"),
    "prompts_from of another kind": (HEAD + "- prompts_from: c.txt#c", "is not of the form"),
    "missing prompts file": (HEAD + "- prompt: x\n- prompts_from: none.csv#c", "o.yaml:4: tracks[1].prompts_from: "),
    "missing column": (HEAD + "- prompts_from: c.csv#title", "c.csv:2: title: no such column or field; this line has: caption, n"),
    "sample too large": (HEAD + "- prompts_from: c.csv#caption\n  sample: 3", "sample 3 is more than the 2 prompts of c.csv"),
    "sample zero": (HEAD + "- prompts_from: c.csv#caption\n  sample: 0", "o.yaml:4: tracks[0].sample: must be"),
    "sample of a prompt": (HEAD + "- prompt: x\n  sample: 3", "o.yaml:4: tracks[0].sample: goes with 'prompts_from'"),
    "empty caption": (HEAD + "- prompts_from: gap.csv#caption", "gap.csv:3: caption: empty"),
    "no captions": (HEAD + "- prompts_from: none.jsonl#c", "none.jsonl: has no prompts"),
    "a caption that is a number": (HEAD + "- prompts_from: n.jsonl#c", "n.jsonl:1: c: must be text, not 5"),
    "matrix name not in the prompt": (HEAD + "- prompt: x\n  matrix: {mood: [a]}", "o.yaml:4: tracks[0].matrix.mood: the prompt has no {mood}"),
    "prompt name not in the matrix": (HEAD + "- prompt: 'a {mood} day'", "o.yaml:3: tracks[0].prompt: {mood} has no values"),
    "empty matrix": (HEAD + "- prompt: 'a {m}'\n  matrix: {m: []}", "tracks[0].matrix.m: must have at least one entry"),
    "matrix of a truth": (HEAD + "- prompt: 'a {m}'\n  matrix: {m: [no]}", "tracks[0].matrix.m[0]: False is neither a word nor a number"),
    "matrix with a NUL": (HEAD + "- prompt: '{m}'\n  matrix: {m: [a, \"b\\0c\", and a longer one]}", "o.yaml:4: tracks[0].matrix.m[1]: has a NUL character"),
    "matrix that empties the prompt": (HEAD + "- prompt: '{m}'\n  matrix: {m: [a, '']}", "tracks[0].matrix: empty"),
    "matrix of captions": (HEAD + "- prompts_from: c.csv#caption\n  matrix: {m: [a]}", "tracks[0].matrix: goes with 'prompt'"),
    "unknown key of music": (HEAD + "- prompt: x\n  key: H minor", "o.yaml:4: tracks[0].key: key 'H minor' is not a key"),
    "unknown metre": (HEAD + "- prompt: x\n  metre: 17/3", "o.yaml:4: tracks[0].metre: metre '17/3' is not known"),
    "unknown instrument": (HEAD + "- prompt: x\n  instruments: [kazoo]", "o.yaml:4: tracks[0].instruments: instrument 'kazoo' is not known"),
    "too many instruments": (HEAD + f"- prompt: x\n  instruments: [{', '.join(['flute'] * 40)}]", "instruments: 40 given"),
    "instruments as a word": (HEAD + "- prompt: x\n  instruments: flute", "instruments: must be a list, not 'flute'"),
    "unknown texture": (HEAD + "- prompt: x\n  texture: woolly", "texture 'woolly' is not known"),
    "absurd tempo": (HEAD + "- prompt: x\n  tempo_bpm: 9000", "tempo_bpm 9000 is outside"),
}  # fmt: skip

ROWS = {
    "unknown column": ("o.csv", "prompt,colour\nx,red\n", "o.csv:1: colour: unknown key"),
    "column of a matrix": ("o.csv", "prompt,matrix\nx,{}\n", "o.csv:1: matrix: unknown key"),
    "column twice": ("o.csv", "prompt,prompt\nx,y\n", "o.csv:1: prompt: this column is there twice"),
    "too many cells": ("o.csv", "prompt\nslow, sad\n", "o.csv:2: 2 cells under 1 columns"),
    "a word for a number": ("o.csv", "prompt,count\nx,2\ny,two\n", "o.csv:3: count: must be a whole number, not 'two'"),
    "NaN in a cell": ("o.csv", "prompt,duration_s\nx,nan\n", "o.csv:2: duration_s: nan is outside"),
    "line after a long cell": ("o.csv", 'prompt,count\n"a\nb",1\nx,0\n', "o.csv:4: count: must be greater"),
    "unclosed quote": ("o.csv", 'prompt\n"x\n', "not a CSV"),
    "an empty cell": ("o.csv", "prompt,count\n,2\n", "o.csv:2: a track needs 'prompt'"),
    "only a header": ("o.csv", "prompt\n", "o.csv: empty"),
    "empty CSV": ("o.csv", "", "o.csv:1: empty"),
    "empty JSONL": ("o.jsonl", "\n\n", "o.jsonl: empty"),
    "not JSON": ("o.jsonl", '{"prompt": "x"}\n{prompt: x}\n', "o.jsonl:2: not JSON"),
    "JSON that breaks off": ("o.jsonl", '{"prompt": "x"}\n{"prompt": "x"\n', "o.jsonl:2: not JSON: expecting ',' delimiter at character 15"),
    "JSON with endless digits": ("o.jsonl", '{"prompt": "x", "count": ' + "7" * 5000 + "}\n", "o.jsonl:1: not JSON that can be read: a number has thousands of digits"),
    "JSON list": ("o.jsonl", '["x"]\n', "o.jsonl:1: not a JSON object"),
    "JSON number": ("o.jsonl", '{"prompt": "x"}\n5\n', "o.jsonl:2: not a JSON object"),
    "JSON truth": ("o.jsonl", "true\n", "o.jsonl:1: not a JSON object"),
    "JSON null": ("o.jsonl", "null\n", "o.jsonl:1: not a JSON object"),
    "JSON list of objects": ("o.jsonl", '[{"prompt": "x"}, {"prompt": "x"}]\n', "o.jsonl:1: not a JSON object"),
    "JSON key twice": ("o.jsonl", '{"prompt": "x", "prompt": "y"}\n', "o.jsonl:1: not JSON: the key 'prompt' is there twice"),
    "half a character": ("o.jsonl", '{"prompt": "a \\ud800"}\n', "o.jsonl:1: prompt: has a NUL character or half"),
    "half a character in a matrix": ("o.jsonl", '{"prompt": "{a}", "matrix": {"a": ["x", "y\\ud800z", "longer than that"]}}\n', "o.jsonl:1: matrix.a[1]: has a NUL character or half"),
    "NUL": ("o.jsonl", '{"prompt": "a\\u0000b"}\n', "o.jsonl:1: prompt: has a NUL character"),
    "JSON NaN": ("o.jsonl", '{"prompt": "x", "duration_s": NaN}\n', "o.jsonl:1: duration_s: nan is outside"),
    "deep JSON": ("o.jsonl", "[" * 200_000 + "\n", "o.jsonl:1: not JSON that can be read: nested too deeply"),
    "no name for the catalogue": ("my order.csv", "prompt\nx\n", "catalogue: is needed"),
    "unknown suffix": ("o.txt", "x", "o.txt: an order is a .yaml, .yml, .csv, .jsonl file"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c.csv").write_text("caption,n\nslow harp,1\nfast drum,2\n")
    (tmp_path / "gap.csv").write_text('caption,n\nx,1\n" ",2\n')
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "n.jsonl").write_text('{"c": 5}\n')
    return tmp_path


def refusal(path, options=None):
    with pytest.raises(OrderError) as caught:
        load_order(path, options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("case", YAML, ids=str)
def test_a_yaml_order_is_refused(folder, case):
    text, expected = YAML[case]
    (folder / "o.yaml").write_text(text)
    assert expected in refusal(folder / "o.yaml")


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_an_order_of_rows_is_refused(folder, case):
    name, text, expected = ROWS[case]
    (folder / name).write_text(text)
    assert expected in refusal(folder / name)


@pytest.mark.parametrize(
    ("name", "first"), [("o.yaml", b"prompt"), ("o.csv", b"prompt"), ("o.jsonl", b'{"prompt": "harp"}')]
)
def test_what_is_not_utf_8_is_refused_with_its_line(folder, name, first):
    (folder / name).write_bytes(first + b"\n" + "für Élise".encode("latin-1"))
    assert f"{name}:2: not UTF-8 (byte 0xfc)" in refusal(folder / name)


def test_an_absent_order_is_refused(folder):
    assert refusal(folder / "absent.yaml").endswith("absent.yaml: no such file")
    assert refusal(folder / "absent.txt").endswith("no such file")


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 300 + ".yaml", "c.csv/below"], ids=["bare", "yaml", "below a file"]
)
def test_an_order_whose_path_cannot_be_looked_at_is_refused(folder, name):
    assert re.search(r": cannot be read: (file name too long|not a directory)$", refusal(folder / name))


def test_a_folder_as_order_is_refused(folder):
    (folder / "dir.yaml").mkdir()
    assert refusal(folder / "dir.yaml").endswith("is a folder, not a file")
    assert refusal(folder).endswith("is a folder, not a file")


def test_an_option_that_cannot_be_is_refused_like_a_key(folder):
    (folder / "o.csv").write_text("prompt\nx\n")
    assert "duration_s: nan is outside" in refusal(folder / "o.csv", OrderOptions(duration_s=float("nan")))
    assert "catalogue: 'a b' is no catalogue name" in refusal(folder / "o.csv", OrderOptions(catalogue="a b"))


def test_a_byte_order_mark_is_no_error(folder):
    (folder / "o.csv").write_bytes("prompt\nx\n".encode("utf-8-sig"))
    assert [track.prompt for track in load_order(folder / "o.csv").tracks] == ["x"]
