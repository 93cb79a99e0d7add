"""What is personal of a recipe is kept apart from it."""

import pytest

from models.personal import TASTE, Opening, PersonalError, opened_tokens, public, with_personal

OPENING = Opening("ab" * 32, (3, 1, 4))
RECIPE = {"prompt": "near: rain", "controls": {TASTE: OPENING.commitment()}}


def test_what_was_kept_apart_opens_the_recipe():
    assert opened_tokens(with_personal(RECIPE, OPENING.as_json())) == [3, 1, 4]
    assert opened_tokens({"controls": {}}) is None


def test_the_recipe_tells_nothing_and_the_chance_makes_equal_tokens_unlike():
    assert public(with_personal(RECIPE, OPENING.as_json())) == RECIPE
    assert Opening("cd" * 32, (3, 1, 4)).commitment() != OPENING.commitment()


def test_erased_or_other_tokens_are_refused():
    with pytest.raises(PersonalError, match="erased"):
        opened_tokens(RECIPE)
    for other in ({"chance": "ab" * 32, "tokens": [3, 1, 5]}, {"chance": "zz", "tokens": []}, {}):
        with pytest.raises(PersonalError, match="not those"):
            opened_tokens(with_personal(RECIPE, other))
