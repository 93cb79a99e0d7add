"""Where a catalogue leaves a taste unserved, and whose wish is made first.

Shapes: I pieces, M modes, E joint width.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.taste.choosing import Catalogue, Person
from models.taste.space import Vectors

_ENOUGH: Final = 10  # new pieces near a mode serve it


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A mode of a listener that new pieces are needed for. `vector_E` lies in the joint space itself."""

    listener: str
    mode: int
    gap: float
    vector_E: Vectors
    near: tuple[int, ...]  # the liked pieces nearest to it


def wishes_of(listener: str, person: Person, catalogue: Catalogue, vector_IE: Vectors) -> list[Wish]:
    """Return the modes whose own pieces lie nearer together than what is new to the listener, widest gap first.

    Args:
        listener: their name.
        person: what is known of them.
        catalogue: the pieces.
        vector_IE: the same pieces as they lie in the joint space.
    """
    if person.modes is None or person.by_sentence:
        return []
    new_I = catalogue.allowed_I.copy()
    new_I[person.heard] = new_I[person.hated] = False
    found = []
    for mode in range(len(person.modes)):
        inside = person.modes.member_N == mode
        likeness = (catalogue.space.piece_IE @ person.modes.direction_ME[mode])[new_I]
        served = float(np.sort(likeness)[-_ENOUGH:].sum() / _ENOUGH)
        gap = (float(person.modes.closeness_M[mode]) - served) * float(person.modes.share_M[mode])
        if gap > 0:
            middle = (person.weight[inside, None] * vector_IE[person.liked[inside]]).sum(axis=0, dtype=np.float64)
            vector_E = (middle / max(float(np.linalg.norm(middle)), 1e-9)).astype(np.float32)
            nearest = person.liked[inside][np.argsort(-(vector_IE[person.liked[inside]] @ vector_E), kind="stable")]
            found.append(Wish(listener, mode, round(gap, 6), vector_E, tuple(nearest[:2].tolist())))
    return sorted(found, key=lambda wish: (-wish.gap, wish.mode))


def granted(
    wishes: Mapping[str, Sequence[Wish]],
    *,
    had_s: Mapping[str, float],
    budget_s: float,
    piece_s: float,
    most_each: int,
    seeds: Mapping[str, int],
) -> list[Wish]:
    """Share a budget of seconds: whoever had least so far is next, then the wider gap, then the lot.

    Args:
        wishes: those of each listener, widest gap first.
        had_s: how many seconds were made for each before.
        budget_s: how many there are.
        piece_s: how long a piece is.
        most_each: how many pieces a listener gets at most.
        seeds: the lot.
    """
    queue = [(had_s.get(name, 0.0), -own[0].gap, seeds[name], name, 0) for name, own in wishes.items() if own]
    heapq.heapify(queue)
    out: list[Wish] = []
    while queue and round((len(out) + 1) * piece_s, 6) <= budget_s:
        had, _, seed, name, number = heapq.heappop(queue)
        own = wishes[name]
        out.append(own[number])
        number += 1
        if number < min(len(own), most_each):
            heapq.heappush(queue, (had + piece_s, -own[number].gap, seed, name, number))
    return out
