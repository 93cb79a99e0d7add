"""Names made of content."""

from actors.identity import has_id, recipe_id


def test_a_recipe_has_its_own_id_and_no_other():
    body = {"prompt": "Ruhe, größer als 20 s", "seed": 7, "duration_s": 20}
    assert has_id(body, recipe_id(body))
    assert not has_id(body | {"seed": 8}, recipe_id(body))


def test_a_recipe_that_the_quick_encoder_writes_otherwise_has_its_id_too():
    body = {"duration_s": 20.0, "\U0001f3b5": 1, "\ufb01": 2}  # RFC 8785 writes 20, and sorts by UTF-16
    assert has_id(body, recipe_id(body))
