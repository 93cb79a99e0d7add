"""Pieces made for listeners: wishes become recipes told the listener's taste, and whom they are for is kept apart.

What is asked for on a date never exceeds its budget, whoever asks: sums and rows are one transaction behind a lock.
Recipes of a date are decided once, for listeners of all time zones, so that nobody is late.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from actors.identity import canonical_json
from db.database import Database
from db.listeners import Listener, list_listeners
from db.planning import PlannedRecipe, plan_run
from db.playlists import PieceFor, lock_pieces_for, note_pieces_for, pieces_of, seconds_asked_for
from db.runs import NewRun, new_run_id
from flows.playlists.lists import Failed, Lists
from flows.recipe import SEED_BITS, ModelIdentity, RecipeWriter
from models.digests import digest_of_bytes
from models.personal import TASTE, Opening
from models.taste.wishes import Wish, granted, wishes_of

if TYPE_CHECKING:
    from models.musiclm.joint_space import JointSpace

CATALOGUE: Final = "made-for-listeners"
_REMEMBERED: Final = timedelta(days=28)  # over so long everybody is to have as much
_NEAR: Final = "new, near: "
_BETWEEN: Final = " / "
_TITLE_CHARS: Final = 80
_LOOKED_AT: Final = 4  # listeners for each piece the budget has, those who had least


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Seconds of audio for a date, how long a piece is, and how many a listener gets at most."""

    budget_s: float
    piece_s: float = 20.0
    most_each: int = 2


def ask_for_pieces(
    database: Database, lists: Lists, space: JointSpace, budget: Budget, names: Sequence[str] | None = None
) -> int:
    """Decide what is made for whom on the date of these lists, as far as its budget goes; return how many pieces.

    Args:
        database: where it is kept.
        lists: of the night.
        space: turns tastes into tokens.
        budget: of the date.
        names: only for these listeners; all if not given.

    Raises:
        DatabaseUnavailableError: the server went away; nothing or everything was decided.
    """
    on = lists.moment.date
    with database.unit_of_work() as session:
        lock_pieces_for(session)
        asked = pieces_of(session, on)
        left_s = round(budget.budget_s - sum(piece.duration_s for piece in asked), 6)  # 3.6 - 2.4 has room for 1.2
        served = {piece.listener for piece in asked}
        had_s = seconds_asked_for(session, since=on - _REMEMBERED, until=on)
        people = list_listeners(session, names)
        waiting = [each for each in people if each.consented_at and each.name not in served]
        wishes = _wishes(lists, waiting, had_s, most=int(left_s // budget.piece_s))
        seeds = {each.name: _chance(each, on, "lot") for each in waiting}
        grants = granted(
            wishes,
            had_s=had_s,
            budget_s=left_s,
            piece_s=budget.piece_s,
            most_each=budget.most_each,
            seeds={name: int(chance, 16) for name, chance in seeds.items()},
        )
        run_id, by_name = new_run_id(), {each.name: each for each in waiting}
        pieces = [_piece(by_name[wish.listener], wish, lists, space, run_id, budget.piece_s) for wish in grants]
        note_pieces_for(session, pieces)
    return len(pieces)


def plan_pieces(database: Database, run_id: str, pieces: Sequence[PieceFor]) -> None:
    """Plan the run of pieces that were asked for, all of one model.

    Raises:
        StorageError: the database cannot be used.
    """
    recipe = json.loads(pieces[0].body)
    model = recipe["model"]
    order = {"model": f"{model['name']}@{model['digest']}", "kind": recipe["kind"], "date": str(pieces[0].date)}
    digest = digest_of_bytes(canonical_json([piece.recipe_id for piece in pieces]))
    run = NewRun(run_id, CATALOGUE, {"catalogue": CATALOGUE, **order}, digest)
    plan_run(database, run, map(_planned, pieces))


def _wishes(
    lists: Lists, waiting: Sequence[Listener], had_s: Mapping[str, float], most: int
) -> dict[str, list[Wish]]:
    """Return the wishes of those who had least: as many listeners as may matter."""
    on = lists.moment.date
    neediest = sorted(waiting, key=lambda each: (had_s.get(each.name, 0.0), _chance(each, on, "lot")))
    found: dict[str, list[Wish]] = {}
    for name, known in lists.people([each.name for each in neediest[: _LOOKED_AT * most]]):
        if not isinstance(known, Failed):
            found[name] = wishes_of(name, known[1], lists.catalogue, lists.shelf.vector_IE)
    return found


def _piece(listener: Listener, wish: Wish, lists: Lists, space: JointSpace, run_id: str, piece_s: float) -> PieceFor:
    on, model = lists.moment.date, lists.moment.model
    opening = Opening(_chance(listener, on, f"opening {wish.mode}"), space.tokens(wish.vector_E))
    near = [_title(lists.shelf.tracks[piece].title) for piece in wish.near]
    writer = RecipeWriter(
        ModelIdentity(model.name, model.digest, model.kind),
        duration_s=piece_s,
        controls={TASTE: opening.commitment()},
    )
    seed = int(_chance(listener, on, f"seed {wish.mode}"), 16) % 2**SEED_BITS
    recipe = writer.write(_NEAR + _BETWEEN.join(dict.fromkeys(near)), seed)
    return PieceFor(
        recipe_id=recipe.id,
        listener=listener.name,
        date=on,
        run_id=run_id,
        duration_s=piece_s,
        personal=opening.as_json(),
        body=recipe.body,
    )


def _planned(piece: PieceFor) -> PlannedRecipe:
    body = json.loads(piece.body)
    return PlannedRecipe(
        piece.recipe_id,
        body["kind"],
        body["model"]["digest"],
        body["prompt"],
        body["seed"],
        piece.duration_s,
        piece.body,
    )


def _chance(listener: Listener, on: date, purpose: str) -> str:
    """Return 64 hex digits that nobody can tell who has not the listener's salt."""
    return hashlib.sha256(f"{listener.salt}\n{on}\n{purpose}".encode()).hexdigest()


def _title(title: str) -> str:
    """Return a title short enough to be part of another; of a piece that was made near others the first of these."""
    title = title.removeprefix(_NEAR).partition(_BETWEEN)[0] if title.startswith(_NEAR) else title
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"
