"""Playlists: how well lists suit (Last.fm-2k), how long a night takes, how much memory many listeners need.

Last.fm-2k is not shipped: it may be used for research, not passed on. Get it and give its folder:

    curl -O https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip
    unzip hetrec2011-lastfm-2k.zip -d lastfm-2k
    python -m bench.playlists --lastfm lastfm-2k

Ten artists of each listener are held out. Artists' sounds are not in the set; their tags stand for them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from bench.support import finish, parser, show
from models.taste.choosing import Catalogue, Rules
from models.taste.factors import Factors
from models.taste.heard import Heard
from models.taste.modes import modes_of
from models.taste.night import FactorConfig, Guest, Night, fit_factors
from models.taste.ranking import BLOCK, RankingConfig, content_scores, factor_scores, fuse
from models.taste.sequence import NO_KEY, Character
from models.taste.space import Space, Vectors, directions, space_of
from models.taste.variety import VariedList

HELD_OUT, LISTED = 10, 20
Order = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What may be learnt from and what is held out, by listener; `space` has the artists' tags."""

    heard: Heard
    held: dict[int, NDArray[np.int64]]
    space: Space


def lastfm(folder: Path, *, cold: bool) -> Split:
    """Read the set and hold out ten artists of each listener; or (`cold`) a tenth of the artists from everybody."""
    plays = np.loadtxt(folder / "user_artists.dat", skiprows=1, dtype=np.int64)
    people, person = np.unique(plays[:, 0], return_inverse=True)
    artists, artist = np.unique(plays[:, 1], return_inverse=True)
    random = np.random.default_rng(0)
    out = np.zeros(len(plays), dtype=bool)
    if cold:
        out = np.isin(artist, random.choice(len(artists), len(artists) // 10, replace=False))
    else:
        for number in range(len(people)):
            own = np.flatnonzero(person == number)
            if len(own) >= 2 * HELD_OUT:
                out[random.choice(own, HELD_OUT, replace=False)] = True
    order = np.lexsort((artist, person))
    order = order[~out[order]]
    nothing = np.zeros(len(order), np.int32)
    heard = Heard(
        person[order].astype(np.int32),
        artist[order].astype(np.int32),
        plays[order, 2].astype(np.int32),
        nothing,
        nothing.astype(np.int8),
        nothing.astype(np.float64),
        len(people),
        len(artists),
    )
    held = {number: artist[out & (person == number)] for number in np.unique(person[out])}
    return Split(heard, held, space_of(tags_of(folder, artists)))


def tags_of(folder: Path, artists: NDArray[np.int64]) -> Vectors:
    """Return a vector of each artist's tags."""
    given = np.loadtxt(folder / "user_taggedartists.dat", skiprows=1, dtype=np.int64, usecols=(1, 2))
    given = given[np.isin(given[:, 0], artists)]
    counts = csr_matrix((np.ones(len(given)), (np.searchsorted(artists, given[:, 0]), given[:, 1])))
    counts.resize(len(artists), counts.shape[1])
    rarity = np.log(len(artists) / np.maximum((counts > 0).sum(axis=0).A1, 1))
    counts.data = np.log1p(counts.data)
    left, scale, _ = svds(counts.multiply(rarity).tocsr(), k=64, v0=np.ones(min(counts.shape)))
    return directions((left * scale).astype(np.float32))


def judge(split: Split, factors: Factors | None, order: Order) -> dict[str, float]:
    """Return NDCG@20, how many artists are ever listed, and how unlike those of a list are."""
    gains, listed, unlike = [], set(), []
    people = np.array(sorted(split.held))
    weight_N = split.heard.weight_N()
    discount = 1 / np.log2(np.arange(2, LISTED + 2))
    for start in range(0, len(people), BLOCK):
        block = people[start : start + BLOCK]
        slices = [split.heard.of(int(one)) for one in block]
        likes = [(split.heard.piece_N[own], weight_N[own]) for own in slices]
        modes = [
            modes_of(split.space.piece_IE[piece], weight, spread=split.space.spread, most=4) if len(piece) else None
            for piece, weight in likes
        ]
        content_BI = content_scores(split.space, modes)
        factors_BI = content_BI if factors is None else factor_scores(factors, block)
        for row, one in enumerate(block):
            allowed = np.ones(split.heard.pieces, dtype=bool)
            allowed[likes[row][0]] = False
            best = order(factors_BI[row], content_BI[row], allowed)[:LISTED]
            held = split.held[int(one)]
            hits = np.isin(best, held) * discount[: len(best)]
            gains.append(hits.sum() / discount[: min(LISTED, len(held))].sum())
            listed.update(best.tolist())
            vectors = split.space.piece_IE[best]
            pairs = len(best) * (len(best) - 1)
            unlike.append(1 - ((vectors @ vectors.T).sum() - np.square(vectors).sum()) / max(pairs, 1))
    return {"ndcg_20": float(np.mean(gains)), "artists_listed": len(listed), "unlikeness": float(np.mean(unlike))}


def evaluate(folder: Path) -> list[dict[str, Any]]:
    """Compare popularity, ALS alone, and the lists as they are made; and on artists that nobody heard, content."""
    rules, rows = Rules(), []
    split = lastfm(folder, cold=False)
    factors = fit_factors(split.heard, FactorConfig(), threads=1)
    assert factors is not None
    renown = np.bincount(split.heard.piece_N, minlength=split.heard.pieces).astype(np.float32)
    alone = replace(rules.ranking, content=0.0)

    def varied(theirs: NDArray[np.float32], content: NDArray[np.float32], allowed: NDArray[np.bool_]) -> Any:
        found = fuse(theirs, content, allowed & factors.known_I, rules.ranking)
        top = found.piece_K[:150]
        made = VariedList(
            found.score_K[:150] / found.score_K.max(),
            split.space.piece_IE[top],
            relevance=rules.relevance,
            family_K=np.arange(len(top)),
            most_of_a_family=1,
        )
        made.fill(LISTED, np.ones(len(top), dtype=bool))
        return top[made.numbers]

    def by(score: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]) -> Order:
        return lambda theirs, content, allowed: fuse(None, score(theirs, content), allowed, rules.ranking).piece_K

    for name, order in (
        ("popularity", by(lambda theirs, content: renown)),
        ("tags alone", by(lambda theirs, content: content)),
        (
            "ALS alone",
            lambda theirs, content, allowed: fuse(theirs, content, allowed & factors.known_I, alone).piece_K,
        ),
        ("as playlists are made", varied),
    ):
        rows.append({"split": "random", "list": name, **judge(split, factors, order)})
    cold = lastfm(folder, cold=True)
    unheard = np.bincount(cold.heard.piece_N, minlength=cold.heard.pieces) == 0
    random = np.random.default_rng(1)
    for name, order in (
        ("chance", lambda theirs, content, allowed: random.permutation(np.flatnonzero(allowed & unheard))),
        (
            "tags alone",
            lambda theirs, content, allowed: fuse(None, content, allowed & unheard, RankingConfig()).piece_K,
        ),
    ):
        rows.append({"split": "artists nobody heard", "list": name, **judge(cold, None, order)})
    return rows


def crowd(listeners: int, pieces: int) -> tuple[Heard, Catalogue]:
    """Return listeners who each met some fifty pieces of three of forty sounds."""
    random = np.random.default_rng(0)
    kind = random.integers(0, 40, pieces)
    vectors = random.standard_normal((40, 128))[kind] + random.standard_normal((pieces, 128))
    shelves = [np.flatnonzero(kind == number) for number in range(40)]
    met = [
        np.unique(np.concatenate([random.choice(shelves[one], 17) for one in random.integers(0, 40, 3)]))
        for _ in range(listeners)
    ]
    count = sum(map(len, met))
    heard = Heard(
        np.repeat(np.arange(listeners, dtype=np.int32), [len(each) for each in met]),
        np.concatenate(met).astype(np.int32),
        random.integers(0, 4, count).astype(np.int32),
        random.integers(0, 2, count).astype(np.int32),
        (random.random(count) < 0.05).astype(np.int8),
        1e9 - random.random(count) * 90 * 86_400,
        listeners,
        pieces,
    )
    character = Character(
        random.uniform(60, 180, pieces), random.integers(NO_KEY, 12, pieces), random.uniform(0, 8, pieces)
    )
    renown = np.asarray(heard.likes_LI().sum(axis=0), dtype=np.float32).ravel()
    families = random.integers(0, pieces, pieces)
    return heard, Catalogue(space_of(vectors.astype(np.float32)), character, families, renown)


def night(listeners: int, pieces: int, threads: int) -> dict[str, Any]:
    """Time the arithmetic of one night."""
    heard, catalogue = crowd(listeners, pieces)
    began, cpu = time.monotonic(), time.process_time()
    factors = fit_factors(heard, FactorConfig(), threads=threads)
    fit_s, fit_cpu_s = time.monotonic() - began, time.process_time() - cpu
    made = Night(heard, catalogue, at_s=1e9, rules=Rules(), factors=factors)
    for start in range(0, listeners, 512):
        guests = [Guest(listener=number, seed=number) for number in range(start, min(start + 512, listeners))]
        for choice in made.choices([(guest, made.person(guest)) for guest in guests]):
            if isinstance(choice, Exception):
                raise choice
    return {
        "listeners": listeners,
        "pieces": pieces,
        "fit_s": fit_s,
        "fit_cpu_s": fit_cpu_s,
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - cpu,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    """Measure what is asked for."""
    options = parser(__doc__)
    options.add_argument("--lastfm", type=Path, help="folder of hetrec2011-lastfm-2k: judge lists by it")
    options.add_argument("--listeners", type=int, default=10_000)
    options.add_argument("--pieces", type=int, default=20_000)
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    if given.lastfm is not None:
        rows = evaluate(given.lastfm)
        show([row for row in rows if row["split"] == "random"])
        show([row for row in rows if row["split"] != "random"])
        finish("playlists", {"lists": rows}, as_json=given.json)
        return
    row = night(given.listeners, given.pieces, given.threads)
    show([row])
    finish("playlists", row, as_json=given.json)


if __name__ == "__main__":
    main()
