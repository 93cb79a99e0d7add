"""Taste from what others heard."""

import numpy as np
from scipy.sparse import csr_matrix

from models.taste.factors import FactorConfig, fit
from models.taste.heard import Heard

SMALL = FactorConfig(factors=8, fewest_listeners=2)


def two_camps():
    """Listeners 0-9 like pieces 0-9, listeners 10-19 pieces 10-19; nobody heard piece 20."""
    likes = np.zeros((20, 21), np.float32)
    random = np.random.default_rng(0)
    likes[:10, :10] = random.random((10, 10)) < 0.7
    likes[10:, 10:20] = random.random((10, 10)) < 0.7
    return csr_matrix(likes)


def test_pieces_of_ones_own_camp_come_first():
    factors = fit(two_camps(), SMALL, seed=0)
    scores = factors.listener_LD @ factors.piece_ID.T
    assert set(np.argsort(-scores[0])[:10]) == set(range(10))


def test_the_number_of_threads_changes_no_bit():
    one, two = (fit(two_camps(), SMALL, seed=0, threads=threads) for threads in (1, 2))
    assert one.listener_LD.tobytes() == two.listener_LD.tobytes()
    assert one.piece_ID.tobytes() == two.piece_ID.tobytes()


def test_nothing_is_said_of_pieces_that_too_few_heard():
    assert not fit(two_camps(), SMALL, seed=0).known_I[20]
    assert fit(csr_matrix((3, 4), dtype=np.float32), SMALL, seed=0) is None


def test_likes_weigh_more_than_hearing_and_hated_or_skipped_pieces_are_no_likes():
    heard = Heard(
        *(np.array(column) for column in ([0] * 4, [0, 1, 2, 3], [1, 1, 1, 0], [0, 0, 0, 2])),
        np.array([0, 1, -1, 0], np.int8),
        np.zeros(4),
        1,
        4,
    )
    likes = heard.likes_LI().toarray()[0]
    assert 0 < likes[0] < likes[1]
    assert likes[2] == likes[3] == 0
