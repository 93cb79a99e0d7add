"""Planning: what an order becomes, and what its recipes depend on."""

import random
import subprocess
import sys

import pytest

from actors.identity import recipe_id
from db.digests import digest_of
from flows.errors import OrderError
from flows.order import OrderOptions, load_order
from flows.planning import plan_recipes
from flows.recipe import SEED_BITS, ModelIdentity

MODEL = ModelIdentity("score-small", "sha256:" + "ab" * 32, "score")


def plan(path, **options):
    return list(plan_recipes(load_order(path, OrderOptions(**options)), MODEL))


def order(folder, text, name="order.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def ids(recipes):
    return {recipe.id for recipe in recipes}


def test_an_order_becomes_one_recipe_for_each_prompt_and_copy(tmp_path):
    recipes = plan(
        order(
            tmp_path,
            """
catalogue: study
seed: 7
duration_s: 20
tracks:
  - prompt: slow solo piano
    count: 3
  - {prompt: calm harp, duration_s: 4.5, key: d minor, metre: 3/4, tempo_bpm: 70, instruments: [harp]}
""",
        )
    )
    assert [recipe.prompt for recipe in recipes] == ["slow solo piano"] * 3 + ["calm harp"]
    assert [recipe.duration_s for recipe in recipes] == [20, 20, 20, 4.5]
    assert len(ids(recipes)) == 4
    assert '"controls":{"instruments":["harp"],"key":"D minor","metre":"3/4","tempo_bpm":70}' in recipes[3].body
    assert '"controls":{}' in recipes[0].body


def test_an_id_is_the_hash_of_the_body(tmp_path):
    import json

    for recipe in plan(order(tmp_path, "catalogue: a\ntracks: [{prompt: calm harp, count: 5}]")):
        assert recipe_id(json.loads(recipe.body)) == recipe.id


def test_the_order_of_lines_does_not_matter(tmp_path):
    lines = [f"prompt {i % 40},{1 + i % 3},{60 + i % 5}" for i in range(300)]
    shuffled = random.Random(3).sample(lines, len(lines))
    first = plan(order(tmp_path, "\n".join(["prompt,count,tempo_bpm", *lines]), "a.csv"))
    second = plan(order(tmp_path, "\n".join(["prompt,count,tempo_bpm", *shuffled]), "b.csv"))
    assert ids(first) == ids(second)
    assert len(ids(first)) == len(first) == sum(1 + i % 3 for i in range(300))


def test_identical_lines_go_on_counting_copies(tmp_path):
    twice = plan(order(tmp_path, "catalogue: a\ntracks: [{prompt: harp, count: 2}, {prompt: harp, count: 3}]"))
    once = plan(order(tmp_path, "catalogue: a\ntracks: [{prompt: harp, count: 5}]", "other.yaml"))
    assert [recipe.id for recipe in twice] == [recipe.id for recipe in once]
    assert len(ids(twice)) == 5


def test_csv_jsonl_and_yaml_that_say_the_same_give_the_same_recipes(tmp_path):
    yaml = plan(
        order(
            tmp_path,
            "catalogue: a\nseed: 3\ntracks:\n- {prompt: 'a, b', instruments: [violin, piano], tempo_bpm: 80}\n"
            "- prompt: é",
        )
    )
    csv = plan(order(tmp_path, 'prompt,instruments,tempo_bpm\n"a, b",violin; piano,80\né,,\n', "o.csv"), seed=3)
    text = '{"prompt": "a, b", "instruments": ["piano", "violin"], "tempo_bpm": 80}\n\n{"prompt": "e\\u0301"}\n'
    jsonl = plan(order(tmp_path, text, "o.jsonl"), seed=3)
    assert yaml == csv == jsonl


def test_the_catalogue_and_the_file_name_change_no_recipe(tmp_path):
    path = order(tmp_path, "prompt\nharp\n", "first.csv")
    assert load_order(path).catalogue == "first"
    assert ids(plan(path)) == ids(plan(path, catalogue="second"))
    assert ids(plan(path)) != ids(plan(path, seed=1))


def test_a_track_seed_is_the_seed_of_its_first_copy(tmp_path):
    recipes = plan(order(tmp_path, "catalogue: a\ntracks: [{prompt: harp, seed: 11, count: 3}]"))
    assert [recipe.seed for recipe in recipes] == [11, 12, 13]


def test_seeds_have_48_bits_and_differ_between_contents(tmp_path):
    recipes = plan(order(tmp_path, "prompt\n" + "\n".join(f"p{i}" for i in range(2000)), "a.csv"))
    seeds = {recipe.seed for recipe in recipes}
    assert len(seeds) == 2000
    assert max(seeds) < 2**SEED_BITS and max(seeds) > 2 ** (SEED_BITS - 2)


def test_a_matrix_makes_every_combination(tmp_path):
    recipes = plan(
        order(
            tmp_path,
            """
catalogue: a
tracks:
  - prompt: "{mood} piece for {who}, {mood} at the end"
    matrix: {mood: [calm, "{who}"], who: [oboe, 2 horns, 3]}
""",
        )
    )
    assert [recipe.prompt for recipe in recipes] == [
        "calm piece for oboe, calm at the end",
        "calm piece for 2 horns, calm at the end",
        "calm piece for 3, calm at the end",
        "{who} piece for oboe, {who} at the end",
        "{who} piece for 2 horns, {who} at the end",
        "{who} piece for 3, {who} at the end",
    ]


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_a_sample_depends_on_seed_and_texts_but_not_on_their_order(tmp_path, name):
    def write(texts):
        if name.endswith("csv"):
            order(tmp_path, "id,caption\n" + "\n".join(f'1,"{text}"' for text in texts), name)
        else:
            order(tmp_path, "\n".join(f'{{"caption": "{text}"}}' for text in texts), name)

    texts = [f"caption {i}" for i in range(200)]
    path = order(tmp_path, f"catalogue: a\ntracks: [{{prompts_from: '{name}#caption', sample: 40}}]")
    write(texts)
    first = plan(path)
    assert [recipe.prompt for recipe in first] == [t for t in texts if t in {r.prompt for r in first}]
    write(list(reversed(texts)))
    assert ids(plan(path)) == ids(first) and len(first) == 40
    assert {r.prompt for r in plan(path, seed=1)} != {r.prompt for r in first}


def test_prompts_come_relative_to_the_order_and_with_braces_as_they_are(tmp_path):
    (tmp_path / "sub").mkdir()
    order(tmp_path, 'caption\nuse {braces}\n" spaced "\n', "captions.csv")
    path = order(tmp_path / "sub", "catalogue: a\ntracks: [{prompts_from: ../captions.csv#caption, count: 2}]")
    assert [r.prompt for r in plan(path)] == ["use {braces}", "use {braces}", "spaced", "spaced"]


def test_a_prompts_file_that_changes_after_the_check_stops_the_plan(tmp_path):
    captions = order(tmp_path, "caption\nharp\n", "captions.csv")
    checked = load_order(order(tmp_path, "catalogue: a\ntracks: [{prompts_from: captions.csv#caption}]"))
    captions.write_text('caption\nharp\n" "\n')
    with pytest.raises(OrderError, match=r"captions\.csv:3: caption: empty"):
        list(plan_recipes(checked, MODEL))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "prompt,count,instruments,key\nharp: slow,2,harp;flute,c major\n\nétude,,,\n"),
        ("a.jsonl", '{"prompt": "{x} harp: slow", "matrix": {"x": ["a", "b"]}, "seed": 3}\n\n{"prompt": "é:"}\n'),
        ("b.jsonl", "".join(f'{{"prompt": "piece {n}", "duration_s": {1 + n % 7}}}\n' for n in range(2_500))),
    ],
)
def test_tracks_of_rows_are_the_same_each_time_and_whatever_becomes_of_the_file(tmp_path, name, text):
    checked = load_order(order(tmp_path, text, name))
    (tmp_path / name).write_text("something else")
    once, again = (list(plan_recipes(checked, MODEL)) for _ in range(2))
    assert once == again == plan(order(tmp_path, text, name))


def test_the_digest_of_an_order_is_that_of_its_text_with_or_without_a_byte_order_mark(tmp_path):
    plain = load_order(order(tmp_path, "prompt\nharp\n", "a.csv"))
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbfprompt\nharp\n")
    marked = load_order(tmp_path / "b.csv")
    assert plain.digest == marked.digest == digest_of(b"prompt\nharp\n")


def test_a_run_keeps_the_tracks_of_a_small_order_and_the_number_of_a_large_one(tmp_path):
    small = load_order(order(tmp_path, "prompt,key\nharp,c major\n", "a.csv"))
    assert small.record["tracks"] == [{"prompt": "harp", "count": 1, "duration_s": 30.0, "key": "C major"}]
    large = load_order(order(tmp_path, "prompt\n" + "harp\n" * 1500, "a.csv"))
    assert large.record["track_count"] == 1500 and "tracks" not in large.record


def test_a_hundred_thousand_recipes_are_planned_in_little_memory(tmp_path):
    path = order(tmp_path, "catalogue: a\ntracks: [{prompt: harp, count: 100000}]")
    code = (
        "import sys; from pathlib import Path; from flows.order import load_order;"
        "from flows.planning import plan_recipes; from flows.recipe import ModelIdentity;"
        "m = ModelIdentity('m', 'sha256:00', 'score');"
        "n = sum(1 for _ in plan_recipes(load_order(Path(sys.argv[1])), m));"
        "peak = next(x for x in open('/proc/self/status') if x.startswith('VmHWM'));"
        "print(n, peak.split()[1])"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    number, memory_kb = out.split()
    assert int(number) == 100_000
    assert int(memory_kb) < 200_000
