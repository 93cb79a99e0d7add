"""Makes recipes with a generator in this process, as many side by side as it has slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from models.generator import NO_INPUTS, Generator, Json, Product

_MOST_ADVANCES: Final = 10_000_000


def make_all(
    generator: Generator,
    recipes: Mapping[str, Mapping[str, Json]],
    inputs: Callable[[str], Mapping[str, bytes]] = lambda _key: NO_INPUTS,
) -> Iterator[tuple[str, Product | Exception]]:
    """Make recipes with a generator that has nothing else to do; yield (key, what came of it) as each is done.

    What goes wrong with one ends that one alone, and is handed back as it was raised: mostly a GenerationError. What
    `advance` raises is of all that are on their way, and is raised.

    Args:
        generator: any.
        recipes: what is to be made, by key.
        inputs: reads the files that the recipe of a key is made from, by role.
    """
    waiting, made = list(recipes.items())[::-1], 0
    busy = idle = 0
    while made < len(recipes):
        while waiting and busy < generator.slots:
            key, recipe = waiting.pop()
            try:
                generator.admit(key, recipe, inputs(key))
                busy += 1
            except Exception as error:
                made += 1
                yield key, error
        outcomes = generator.advance() if busy else ()
        for outcome in outcomes:
            made, busy = made + 1, busy - 1
            yield outcome.key, _finished(generator, outcome.result)
        idle = 0 if outcomes else idle + 1
        if idle > _MOST_ADVANCES:
            raise RuntimeError("the generator does not finish what it was given")


def _finished(generator: Generator, result: Any) -> Product | Exception:
    if isinstance(result, Exception):
        return result
    try:
        return generator.finish(result)
    except Exception as error:
        return error
