"""Neighbours in the joint space, compared one by one and by an index."""

import numpy as np
import pytest
from sqlalchemy import text

from db.content_vectors import Content, index_vectors, nearest, record_content

MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MANY, WIDTH, FEW = 3_000, 16, 500


@pytest.fixture
def vectors(database):
    """Vectors of two models, of assets that need not be there for this."""
    vector_NE = np.random.default_rng(0).standard_normal((MANY, WIDTH)).astype(np.float32)
    vector_NE /= np.linalg.norm(vector_NE, axis=1, keepdims=True)
    with database.unit_of_work() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for model, few in ((MODEL, vector_NE), (OTHER, vector_NE[:10])):
            record_content(session, model, (Content(name(n), v, 90.0, None, 1.0) for n, v in enumerate(few)))
    return vector_NE


def name(number):
    return f"{number:064x}"


def by_hand(vector_NE, point_E, most, without=()):
    likeness = vector_NE @ point_E
    likeness[list(without)] = -2
    best = np.argsort(-likeness)[:most]
    return [name(number) for number in best], likeness[best]


def plan_of(session, point_E):
    """How the server would look for neighbours if many were too many."""
    nearest(session, MODEL, point_E, 20, exact_up_to=FEW)  # which sets what is set while looking
    statement = text(
        f"EXPLAIN SELECT asset_id FROM content_vectors WHERE model_digest = '{MODEL}' "
        f"ORDER BY vector::vector({WIDTH}) <=> '{point_E.tolist()}' LIMIT 20"
    )
    return "\n".join(session.execute(statement).scalars())


def test_up_to_a_number_neighbours_are_exactly_those(database, vectors):
    point = vectors[7] + 0.2 * vectors[8]
    point /= np.linalg.norm(point)
    with database.unit_of_work() as session:
        assert index_vectors(session, MODEL) is False
        found = nearest(session, MODEL, point, 20)
        assert nearest(session, OTHER, point, 3)[0][0] == name(7)
    names, likeness = by_hand(vectors, point, 20)
    assert [asset for asset, _ in found] == names
    np.testing.assert_allclose([near for _, near in found], likeness, atol=1e-5)


def test_beyond_it_an_index_names_nearly_the_same_and_makes_up_for_what_was_withdrawn(database, vectors):
    with database.unit_of_work() as session:
        assert index_vectors(session, MODEL, exact_up_to=FEW) is True
        assert index_vectors(session, MODEL, exact_up_to=FEW) is True
        assert "content_vectors_hnsw_" in plan_of(session, vectors[0])
    right = 0
    with database.unit_of_work() as session:
        for point in vectors[:50]:
            found = [asset for asset, _ in nearest(session, MODEL, point, 20, exact_up_to=FEW)]
            right += len(set(found) & set(by_hand(vectors, point, 20)[0]))
    assert right >= 0.95 * 50 * 20

    point = vectors[5]
    gone = np.argsort(-(vectors @ point))[:400]  # more than the index looks at before it goes on
    with database.unit_of_work() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("INSERT INTO withdrawals (asset_id, reason) VALUES (:asset, 'a complaint')"),
            [{"asset": name(number)} for number in gone],
        )
    with database.unit_of_work() as session:
        found = [asset for asset, _ in nearest(session, MODEL, point, 20, exact_up_to=FEW)]
    names, _ = by_hand(vectors, point, 20, without=gone)
    assert len(found) == 20
    assert len(set(found) & set(names)) >= 18
