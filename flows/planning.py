"""Planning: an order becomes recipes in which every choice is fixed. Pure but for reading prompts.

Seeds do not depend on where a line stands. Equal content (prompt, duration, controls, seed) is numbered on
through the whole order, copy by copy, and the seed of a copy is a start plus its number: the track's own `seed`
where it has one, else 48 bits drawn from the order's seed and the content. So copies never share a seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from actors.identity import canonical_json
from flows.order import Order
from flows.prompts import draw, fill
from flows.recipe import SEED_BITS, ModelIdentity, Recipe, RecipeWriter
from flows.track import Track

_SEEDS = 2**SEED_BITS
_MAX_WRITERS = 1_000


def plan_recipes(order: Order, model: ModelIdentity) -> Iterator[Recipe]:
    """Yield the recipes of an order, in its order; equal orders yield equal recipes, on every machine.

    Recipes stream through, but every distinct content is remembered, in some 100 bytes, to number its copies through
    the whole order: 100 MB for a million prompts with a recipe each, nothing for a million copies of one.

    Raises:
        OrderError: a file of prompts changed since the order was checked.
    """
    copies = _Copies(order.seed)
    writers = _Writers(model)
    for track in order.tracks:
        shared = writers.get(track)
        content = shared.content if track.seed is None else shared.content + f"\n{track.seed}".encode()
        for prompt in _prompts(track, order.seed):
            for seed in copies.seeds(content, prompt, track.seed, track.count):
                yield shared.writer.write(prompt, seed)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What tracks of one duration and the same controls have in common."""

    content: bytes
    writer: RecipeWriter


class _Writers:
    """One writer for all tracks of one duration and the same controls; forgets when there are too many."""

    def __init__(self, model: ModelIdentity) -> None:
        self._model = model
        self._known: dict[str, _Shared] = {}

    def get(self, track: Track) -> _Shared:
        key = f"{track.duration_s!r} {track.controls!r}"
        if key not in self._known:
            if len(self._known) >= _MAX_WRITERS:
                self._known.clear()
            self._known[key] = _Shared(
                canonical_json([self._model.kind, track.duration_s, track.controls]),
                RecipeWriter(self._model, duration_s=track.duration_s, controls=track.controls),
            )
        return self._known[key]


def _prompts(track: Track, order_seed: int) -> Iterator[str]:
    if track.source is not None:
        seed = order_seed if track.seed is None else track.seed
        return draw(track.source, track.sample, seed)
    return fill(track.prompt or "", track.matrix)  # load_order sees to it that there is a prompt


class _Copies:
    """Counts how often each content came, and says which seeds its next copies have.

    An entry for each distinct content of the order: any of them may come again in its last line.
    """

    def __init__(self, order_seed: int) -> None:
        self._salt = f"tutti.seed/1\n{order_seed}\n".encode()
        self._next: dict[bytes, int] = {}

    def seeds(self, content: bytes, prompt: str, fixed: int | None, count: int) -> Iterator[int]:
        digest = hashlib.sha256(self._salt + content + b"\n" + prompt.encode()).digest()[:16]
        first = self._next.get(digest, 0)
        self._next[digest] = first + count
        start = int.from_bytes(digest[:6]) if fixed is None else fixed
        for copy in range(first, first + count):
            yield (start + copy) % _SEEDS
