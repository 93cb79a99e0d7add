"""Two opinions made one."""

import numpy as np

from models.taste.modes import Modes
from models.taste.ranking import RankingConfig, best, content_scores, fuse
from models.taste.space import directions, space_of

ALL = np.ones(100, dtype=bool)


def test_what_both_opinions_name_comes_before_what_one_names():
    factors, content = np.zeros(100, np.float32), np.zeros(100, np.float32)
    factors[[1, 2]] = 2, 1
    content[[2, 3]] = 1, 2
    fused = fuse(factors, content, ALL, RankingConfig(candidates=2, content=1.0))
    assert fused.piece_K.tolist() == [2, 1, 3]
    assert fused.by_factors_K[2] == 0 < fused.by_content_K[2]


def test_only_allowed_pieces_are_candidates_and_equals_keep_their_order():
    allowed = ALL.copy()
    allowed[::2] = False
    assert best(np.zeros(100, np.float32), allowed, 3).tolist() == [1, 3, 5]
    assert len(fuse(None, np.zeros(100, np.float32), ~ALL, RankingConfig()).piece_K) == 0


def test_a_listeners_scores_are_the_same_bits_whoever_else_is_in_the_block():
    random = np.random.default_rng(0)
    space = space_of(random.standard_normal((300, 16)).astype(np.float32))

    def modes(count):
        rows = directions(random.standard_normal((count, 16)).astype(np.float32))
        return Modes(rows, np.full(count, 1 / count), np.ones(count), np.zeros(0, np.int64))

    me, others = modes(3), [modes(1 + n % 4) for n in range(100)]
    alone = content_scores(space, [me])[0]
    assert alone.tobytes() == content_scores(space, [*others, me])[-1].tobytes()
    assert not content_scores(space, [None])[0].any()
