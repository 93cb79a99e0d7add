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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from sqlalchemy import text

from bench.support import finish, parser, show, temporary_database, temporary_home
from db import tables
from db.content_vectors import index_vectors, nearest
from db.copying import copy_rows
from db.database import Database
from db.model_versions import register_version
from db.objects import open_objects
from flows.model_choice import registration
from flows.playlists.night import NightWork
from flows.playlists.placing import taste_version
from flows.recipe import ModelIdentity
from flows.services import Backend, Services
from flows.settings import Settings
from models.taste.choosing import Catalogue, Rules
from models.taste.factors import FactorConfig, Factors
from models.taste.heard import Heard
from models.taste.modes import modes_of
from models.taste.night import Guest, Night, fit_factors
from models.taste.ranking import BLOCK, RankingConfig, content_scores, factor_scores, fuse
from models.taste.sequence import NO_KEY, Character
from models.taste.space import Space, Vectors, directions, space_of
from models.taste.variety import VariedList
from models.weights import ModelVersion

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
    factors = fit_factors(split.heard.likes_LI(), FactorConfig(), threads=1)
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
    allowed = np.ones(pieces, dtype=bool)
    return heard, Catalogue(space_of(vectors.astype(np.float32)), character, families, renown, allowed)


def fill(database: Database, model: ModelVersion, heard: Heard, catalogue: Catalogue) -> None:
    """Write a crowd into a database, with a file that is not there for every piece."""
    ids = [f"{number:064x}" for number in range(heard.pieces)]
    names = [f"listener {number:06d}" for number in range(heard.listeners)]
    then = datetime(2026, 1, 1, tzinfo=UTC)
    with database.unit_of_work() as session:
        register_version(session, registration(model))
        copy = partial(copy_rows, session)
        copy(tables.listeners, ((name, "UTC", None, "00" * 32, then, then) for name in names))
        copy(
            tables.recipes,
            (
                (one, "soundscape", model.digest, f"piece {catalogue.family_I[n]}", n, 20.0, "{}")
                for n, one in enumerate(ids)
            ),
        )
        copy(
            tables.assets,
            ((one, model.digest, "soundscape", 20.0, "{}", then, "bench", "0", "{}", "") for one in ids),
        )
        copy(
            tables.asset_files,
            ((one, "waveform", "audio.flac", "sha256:" + one, "audio/flac", 1, None) for one in ids),
        )
        vectors = (f"[{','.join(f'{x:.6g}' for x in row)}]" for row in catalogue.space.piece_IE)
        copy(
            tables.content_vectors,
            ((one, model.digest, row, 90.0, "C major", 1.0, then) for one, row in zip(ids, vectors, strict=True)),
        )
        copy(tables.listening_events, _events(heard, names, ids, then))


def _events(heard: Heard, names: list[str], ids: list[str], then: datetime) -> Iterator[tuple[object, ...]]:
    columns = (heard.listener_N, heard.piece_N, heard.completed_N, heard.skipped_N, heard.opinion_N, heard.last_at_N)
    for listener, piece, completed, skipped, opinion, last_at in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        kinds = ["completed"] * completed + ["skipped"] * skipped + ["liked"] * (opinion > 0)
        for number, kind in enumerate(kinds):
            at = datetime.fromtimestamp(last_at - 60 * number, UTC)
            yield names[listener], at, ids[piece], kind, then


def stored_night(listeners: int, pieces: int, threads: int) -> dict[str, Any]:
    """Time a whole night from the rows of a database to its rows, without making audio."""
    heard, catalogue = crowd(listeners, pieces)
    with temporary_home() as home:
        settings = Settings(home=home, workers=threads)
        version = taste_version(settings)
        identity = ModelIdentity(version.name, version.digest, version.kind)
        with temporary_database(home, identity) as database:
            fill(database, version, heard, catalogue)
            work = NightWork(Services(settings), Backend(database, open_objects(home / "objects")))
            del heard, catalogue
            (due,) = work.due(date(2026, 5, 1), None, 0)[0]
            began, cpu = time.monotonic(), time.process_time()
            done = work.write(due)
            wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    if done.playlists != listeners:
        raise RuntimeError(str(done))
    return {"listeners": listeners, "pieces": pieces, "wall_s": wall_s, "own_cpu_s": cpu_s, **memory()}


def night(listeners: int, pieces: int, threads: int, lists: int) -> dict[str, Any]:
    """Time the arithmetic of one night, with lists for the first listeners."""
    heard, catalogue = crowd(listeners, pieces)
    began, cpu = time.monotonic(), time.process_time()
    factors = fit_factors(heard.likes_LI(), FactorConfig(), threads=threads)
    fit_cpu_s = time.process_time() - cpu
    made = Night(heard, catalogue, at_s=1e9, rules=Rules(), factors=factors)
    for start in range(0, lists, 512):
        guests = [Guest(listener=number, seed=number) for number in range(start, min(start + 512, lists))]
        for choice in made.choices([(guest, made.person(guest)) for guest in guests]):
            if isinstance(choice, Exception):
                raise choice
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    row = {"listeners": listeners, "pieces": pieces, "lists": lists, "fit_cpu_s": fit_cpu_s}
    return row | {"wall_s": wall_s, "cpu_s": cpu_s, **memory()}


def neighbours(pieces: int, asked: int = 100) -> dict[str, Any]:
    """Time the twenty pieces nearest to a point, one by one and by an index, and see how many are the same."""
    _, catalogue = crowd(1, pieces)
    rows = catalogue.space.piece_IE
    with temporary_home() as home:
        version = taste_version(Settings(home=home))
        digest, then = version.digest, datetime(2026, 1, 1, tzinfo=UTC)
        with temporary_database(home, ModelIdentity(version.name, digest, version.kind)) as database:
            with database.unit_of_work() as session:
                session.execute(text("SET LOCAL session_replication_role = replica"))  # no assets are needed for this
                vectors = (f"[{','.join(f'{x:.6g}' for x in row)}]" for row in rows)
                placed = ((f"{n:064x}", digest, row, 90.0, None, 1.0, then) for n, row in enumerate(vectors))
                copy_rows(session, tables.content_vectors, placed)
            began = time.monotonic()
            with database.unit_of_work() as session:
                index_vectors(session, digest, exact_up_to=0)
            figures, found = {"index_made_s": time.monotonic() - began}, []
            for how, exact_up_to in (("exact_ms", pieces), ("index_ms", 0)):
                began = time.monotonic()
                with database.unit_of_work() as session:
                    near = [nearest(session, digest, row, 20, exact_up_to=exact_up_to) for row in rows[:asked]]
                figures[how] = (time.monotonic() - began) / asked * 1000
                found.append([{asset for asset, _ in each} for each in near])
    same = sum(len(one & other) for one, other in zip(*found, strict=True))
    return {"pieces": pieces, **figures, "found_of_20": same / asked}


def memory() -> dict[str, float]:
    """Return the most memory this process had."""
    return {"peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def main() -> None:
    """Measure what is asked for."""
    options = parser(__doc__)
    options.add_argument("--lastfm", type=Path, help="folder of hetrec2011-lastfm-2k: judge lists by it")
    options.add_argument("--listeners", type=int, default=10_000)
    options.add_argument("--pieces", type=int, default=20_000)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--lists", type=int, help="make no more lists than so many")
    options.add_argument("--neighbours", action="store_true", help="of a piece, one by one and by an index")
    options.add_argument("--stored", action="store_true", help="from the rows of a database to its rows")
    given = options.parse_args()
    if given.lastfm is not None:
        rows = evaluate(given.lastfm)
        show([row for row in rows if row["split"] == "random"])
        show([row for row in rows if row["split"] != "random"])
        finish("playlists", {"lists": rows}, as_json=given.json)
        return
    if given.neighbours:
        row = neighbours(given.pieces)
    elif given.stored:
        row = stored_night(given.listeners, given.pieces, given.threads)
    else:
        lists = min(given.lists or given.listeners, given.listeners)
        row = night(given.listeners, given.pieces, given.threads, lists)
    show([row])
    finish("playlists", row, as_json=given.json)


if __name__ == "__main__":
    main()
