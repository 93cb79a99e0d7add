"""The example orders are good orders."""

from pathlib import Path

import pytest

from flows.order import check_controls, load_order
from flows.planning import plan_recipes
from flows.recipe import ModelIdentity

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODEL = ModelIdentity("score-small", "sha256:00", "score")


@pytest.mark.parametrize(
    ("name", "number"),
    [("score-drafts.yaml", 60), ("soundscapes.yaml", 46), ("tracks.csv", 4), ("tracks.jsonl", 4)],
)
def test_an_example_can_be_planned(name, number):
    order = load_order(EXAMPLES / name)
    check_controls(order, order.kind or "score")
    recipes = list(plan_recipes(order, MODEL))
    assert len({recipe.id for recipe in recipes}) == number


@pytest.mark.parametrize("name", ["musiccaps.yaml", "musiccaps-soundscapes.yaml"])
def test_the_captions_example_takes_forty_prompts_of_a_file_beside_it(name, tmp_path):
    (tmp_path / name).write_text((EXAMPLES / name).read_text())
    (tmp_path / "musiccaps-train.csv").write_text(
        "ytid,caption\n" + "".join(f'x,"caption {i}, with words"\n' for i in range(90))
    )
    recipes = list(plan_recipes(load_order(tmp_path / name), MODEL))
    assert len({recipe.prompt for recipe in recipes}) == 40
