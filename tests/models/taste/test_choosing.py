"""One listener's list."""

from dataclasses import replace

import numpy as np
import pytest

from models.taste.choosing import Catalogue, Rules
from models.taste.factors import FactorConfig
from models.taste.heard import Heard
from models.taste.night import Guest, Night, fit_factors
from models.taste.sequence import Character
from models.taste.space import space_of

PIECES, KINDS, PEOPLE, DAY_S = 240, 6, 40, 86_400.0
NOW_S = 1e9
RULES = Rules(length=12, most_of_a_family=3, relevance=0.97, restlessness=0.005)
COLD = np.arange(PIECES) % 10 == 9  # nobody heard these


@pytest.fixture(scope="module")
def vectors():
    """Pieces of six kinds of sound, in turn."""
    random = np.random.default_rng(0)
    return (np.eye(KINDS, 16)[np.arange(PIECES) % KINDS] + 0.15 * random.standard_normal((PIECES, 16))).astype(
        np.float32
    )


def heard_by(rows, listeners):
    """(listener, piece, completed, opinion, days ago) as what was heard."""
    rows = sorted(rows)
    columns = [np.array([row[n] for row in rows]) for n in range(5)]
    listener, piece, completed, opinion, days = columns if rows else [np.zeros(0, int)] * 5
    return Heard(
        listener.astype(np.int32),
        piece.astype(np.int32),
        completed.astype(np.int32),
        np.zeros(len(rows), np.int32),
        opinion.astype(np.int8),
        NOW_S - days * DAY_S,
        listeners,
        PIECES,
    )


@pytest.fixture(scope="module")
def everybody():
    """Listener n likes the sounds n % 6 and (n + 1) % 6, and heard them 40 days ago."""
    random = np.random.default_rng(1)
    warm = np.flatnonzero(~COLD)
    rows = []
    for listener in range(PEOPLE):
        for kind in (listener % KINDS, (listener + 1) % KINDS):
            pieces = random.choice(warm[warm % KINDS == kind], 8, replace=False)
            rows += [(listener, int(piece), 2, 0, 40.0) for piece in pieces]
    return rows


def night(vectors, rows, listeners=PEOPLE, rules=RULES, families=None, allowed=None):
    heard = heard_by(rows, listeners)
    pieces = len(vectors)
    character = Character(np.full(pieces, 90.0), np.zeros(pieces, np.int64), np.ones(pieces))
    renown = np.asarray(heard.likes_LI().sum(axis=0), np.float32).ravel()[:pieces]
    families = np.arange(pieces) if families is None else families
    allowed = np.ones(pieces, bool) if allowed is None else allowed
    catalogue = Catalogue(space_of(vectors), character, families, renown, allowed)
    factors = fit_factors(heard.likes_LI(), FactorConfig(factors=8, fewest_listeners=2), threads=1)
    return Night(heard, catalogue, at_s=NOW_S, rules=rules, factors=factors)


def choice(made, guest):
    (found,) = made.choices([(guest, made.person(guest))])
    if isinstance(found, Exception):
        raise found
    return found


def kinds(found):
    return [reason.kind for reason in found.reasons]


def test_a_list_has_what_is_loved_what_others_love_and_what_nobody_heard(vectors, everybody):
    found = choice(night(vectors, everybody), Guest(listener=0, seed=1))
    assert len(found.pieces) == len(set(found.pieces.tolist())) == RULES.length
    assert [kinds(found).count(kind) for kind in ("known", "listeners", "sound")] == [7, 3, 2]
    assert set(found.pieces % KINDS) == {0, 1}
    assert all(COLD[piece] for piece, kind in zip(found.pieces, kinds(found), strict=True) if kind == "sound")


def test_reasons_name_a_piece_that_the_listener_likes_and_that_sounds_alike(vectors, everybody):
    liked = {piece for listener, piece, *_ in everybody if listener == 0}
    found = choice(night(vectors, everybody), Guest(listener=0, seed=1))
    for piece, reason in zip(found.pieces, found.reasons, strict=True):
        if reason.kind == "sound":
            assert reason.because in liked
            assert reason.because % KINDS == piece % KINDS
            assert reason.likeness > 0.5


def test_the_same_night_gives_the_same_list_alone_and_in_company_and_another_seed_another(vectors, everybody):
    made = night(vectors, everybody, rules=replace(RULES, restlessness=0.2))
    guests = [Guest(listener=n, seed=n) for n in range(PEOPLE)]
    together = list(made.choices([(guest, made.person(guest)) for guest in guests]))
    assert together[7].pieces.tolist() == choice(made, guests[7]).pieces.tolist()
    assert together[7].reasons == choice(made, guests[7]).reasons
    assert choice(made, Guest(listener=7, seed=99)).pieces.tolist() != together[7].pieces.tolist()


def test_hated_pieces_never_come_and_what_was_heard_lately_rests(vectors, everybody):
    mine = [row for row in everybody if row[0] == 0]
    others = [row for row in everybody if row[0] != 0]
    hated = [(0, piece, 0, -1, 50.0) for piece in range(PIECES) if COLD[piece]]
    lately = [(0, piece, n, o, 2.0) for _, piece, n, o, _ in mine[:10]]
    found = choice(night(vectors, others + mine[10:] + lately + hated), Guest(listener=0, seed=1))
    assert not COLD[found.pieces].any()
    assert not {row[1] for row in lately} & set(found.pieces.tolist())


def test_when_nothing_else_is_left_what_was_heard_lately_comes_again(vectors):
    rows = [(0, piece, 1, 0, 2.0) for piece in range(5)]
    found = choice(night(vectors[:5], rows, listeners=1), Guest(listener=0, seed=1))
    assert kinds(found) == ["again"] * 5


def test_what_was_made_for_the_listener_is_in_the_list_until_it_is_heard(vectors, everybody):
    made = (9, 19)
    found = choice(night(vectors, everybody), Guest(listener=0, seed=1, made=made))
    assert {p for p, r in zip(found.pieces.tolist(), found.reasons, strict=True) if r.kind == "made"} == set(made)
    heard = [*everybody, (0, 9, 1, 0, 1.0), (0, 19, 0, -1, 1.0)]
    assert "made" not in kinds(choice(night(vectors, heard), Guest(listener=0, seed=1, made=made)))


def test_of_much_that_was_made_and_not_heard_only_the_newest_come(vectors, everybody):
    made = tuple(range(239, 219, -1))
    found = choice(night(vectors, everybody), Guest(listener=0, seed=1, made=made))
    came = {
        piece for piece, reason in zip(found.pieces.tolist(), found.reasons, strict=True) if reason.kind == "made"
    }
    assert came == {239, 238}
    assert set(made) & set(found.pieces.tolist()) == came


def test_what_is_not_allowed_is_in_no_list_but_tells_the_taste(vectors, everybody):
    allowed = np.arange(PIECES) % 4 != 1
    found = choice(night(vectors, everybody, allowed=allowed), Guest(listener=0, seed=1, made=(9, 19)))
    assert allowed[found.pieces].all()
    assert set(found.pieces % KINDS) == {0, 1}
    assert 19 in found.pieces
    none = choice(night(vectors, everybody, allowed=np.zeros(PIECES, bool)), Guest(listener=0, seed=1, made=(9,)))
    assert not len(none.pieces)


def test_a_list_has_few_pieces_of_a_family(vectors, everybody):
    families = np.arange(PIECES) % KINDS
    found = choice(night(vectors, everybody, families=families), Guest(listener=0, seed=1))
    assert max(np.bincount(found.pieces % KINDS)) <= RULES.most_of_a_family


def test_without_a_history_a_sentence_says_what_is_liked(vectors, everybody):
    stranger = Guest(listener=PEOPLE, seed=1, sentence_E=vectors[2])
    found = choice(night(vectors, everybody, listeners=PEOPLE + 1), stranger)
    assert set(kinds(found)) == {"sentence"}
    assert np.mean(found.pieces % KINDS == 2) > 0.7


def test_without_history_and_sentence_the_list_begins_with_what_others_like(vectors, everybody):
    made = night(vectors, everybody, listeners=PEOPLE + 1)
    found = choice(made, Guest(listener=PEOPLE, seed=1))
    assert set(kinds(found)) == {"start"}
    assert made.catalogue.renown_I[found.pieces].mean() > made.catalogue.renown_I.mean()


def test_all_hated_and_an_empty_catalogue_give_empty_lists(vectors):
    hated = [(0, piece, 0, -1, 50.0) for piece in range(PIECES)]
    assert len(choice(night(vectors, hated, listeners=1), Guest(listener=0, seed=1)).pieces) == 0
    nothing = night(np.zeros((0, 1), np.float32), [], listeners=1)
    assert len(choice(nothing, Guest(listener=0, seed=1)).pieces) == 0


def test_one_listener_whose_list_fails_takes_no_other_with_them(vectors, everybody):
    made = night(vectors, everybody)
    guests = [Guest(listener=n, seed=n) for n in range(3)]
    people = [(guest, made.person(guest)) for guest in guests]
    people[1] = (guests[1], replace(people[1][1], made=np.array([PIECES + 5])))  # a piece that is not there
    found = list(made.choices(people))
    assert isinstance(found[1], IndexError)
    assert len(found[0].pieces) == len(found[2].pieces) == RULES.length
