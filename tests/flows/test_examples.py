"""The example orders are good orders."""

from pathlib import Path

import pytest

from flows.order import load_order
from flows.planning import plan_recipes
from flows.recipe import ModelIdentity

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODEL = ModelIdentity("score-small", "sha256:00", "score")


@pytest.mark.parametrize(("name", "number"), [("score-drafts.yaml", 60), ("tracks.csv", 4), ("tracks.jsonl", 4)])
def test_an_example_can_be_planned(name, number):
    recipes = list(plan_recipes(load_order(EXAMPLES / name), MODEL))
    assert len({recipe.id for recipe in recipes}) == number


def test_the_captions_example_takes_forty_prompts_of_a_file_beside_it(tmp_path):
    (tmp_path / "musiccaps.yaml").write_text((EXAMPLES / "musiccaps.yaml").read_text())
    (tmp_path / "musiccaps-train.csv").write_text(
        "ytid,caption\n" + "".join(f'x,"caption {i}, with words"\n' for i in range(90))
    )
    recipes = list(plan_recipes(load_order(tmp_path / "musiccaps.yaml"), MODEL))
    assert len({recipe.prompt for recipe in recipes}) == 40
