"""Making an asset again from its recipe, and comparing it with what was kept, bit for bit.

It is made in this process by the model version that the recipe names, and marked as the first was. On the same
numeric profile every file must be the same. On another one the codes may still be, and are compared; a difference
then proves nothing, and is said to prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from actors.code_version import code_version
from actors.factory import GeneratorFactory
from actors.marking.marker import MARK_STAGE, Marker, MarkingSpec
from db.asset_types import Lineage
from flows.keys import Keys
from flows.provenance.checks import Check
from flows.settings import Settings
from models.digests import digest_of_bytes
from models.generator import GenerationError, Generator, Product
from models.registry import find_version
from models.weights import CorruptModelError, UnknownModelError

CODES: Final = "codes"
_MOST_ADVANCES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Reproducer:
    """Makes assets again with the settings and keys of an installation."""

    settings: Settings
    keys: Keys

    def check(self, known: Lineage) -> list[Check]:
        """Make the asset again; return what comes of the comparison."""
        try:
            generator = self._generator(known)
            product = make(generator, known.asset.id, known.recipe)
            made = self._content(known, product)
        except UnknownModelError as error:
            return [Check("reproduced", None, f"cannot be made again here: {error}")]
        except (GenerationError, CorruptModelError) as error:
            return [Check("reproduced", False, f"cannot be made again: {error}")]
        return [_compared(known, made, _differences(known, generator))]

    def _generator(self, known: Lineage) -> Generator:
        recipe: Mapping[str, Any] = known.recipe
        profile: Mapping[str, Any] = known.numeric_profile
        model = recipe["model"]
        version = find_version(f"{model['name']}@{model['digest']}", [self.settings.model_folder])
        return GeneratorFactory(
            loader=self.settings.generator,
            version=version,
            device=self._device(str(profile.get("device", "cpu"))),
            dtype=self._dtype(str(profile.get("dtype", "float32"))),
            slots=int(profile.get("slots", self.settings.slots)),
            threads=int(profile.get("threads", self.settings.threads)),
        )()

    def _device(self, recorded: str) -> str:
        import torch

        return recorded if recorded == "cpu" or torch.cuda.is_available() else "cpu"

    def _dtype(self, recorded: str) -> str:
        return recorded if recorded in ("float32", "bfloat16", "float16") else self.settings.dtype

    def _content(self, known: Lineage, product: Product) -> dict[str, str]:
        """Return the digests of what was made, marked as the first was, before manifests."""
        stage = next((stage for stage in known.stages if stage.stage == MARK_STAGE), None)
        marked = stage is not None and stage.detail.get("watermark") != "off"
        spec = MarkingSpec(watermark_key=self.keys.watermark if marked else None, identity=None)
        finished = Marker(spec).finish(known.asset.id, known.recipe, product)
        return {file.role: digest_of_bytes(file.data) for file in finished.product.files}


def make(generator: Generator, key: str, recipe: Mapping[str, Any]) -> Product:
    """Make one recipe with a generator that has nothing else to do.

    Raises:
        GenerationError: it cannot be made.
    """
    generator.admit(key, recipe)
    for _ in range(_MOST_ADVANCES):
        for outcome in generator.advance():
            if isinstance(outcome.result, GenerationError):
                raise outcome.result
            return generator.finish(outcome.result)
    raise GenerationError("the generator does not finish it")


def _differences(known: Lineage, generator: Generator) -> list[str]:
    """Return in what this making differs from the first: profile and code."""
    now, then = generator.profile.as_dict(), known.numeric_profile
    differing = [f"{name} {then.get(name)} then, {now.get(name)} now" for name in now if now[name] != then.get(name)]
    if known.code_version != code_version():
        differing.append(f"code {known.code_version} then, {code_version()} now")
    return differing


def _compared(known: Lineage, made: Mapping[str, str], differing: list[str]) -> Check:
    kept = {file.role: file.content_digest for file in known.asset.files if file.role in made}
    unequal = sorted(role for role in {*kept, *made} if kept.get(role) != made.get(role))
    whole = "codes and files" if CODES in kept else "files"
    if not unequal:
        return Check("reproduced", True, f"made again: {len(made)} {whole} are the same bit for bit")
    if not differing:
        return Check("reproduced", False, f"made again on the same profile, and not the same: {', '.join(unequal)}")
    if CODES in kept and CODES not in unequal:
        return Check(
            "reproduced",
            None,
            f"made again: the codes are the same bit for bit; {', '.join(unequal)} cannot be compared: "
            + "; ".join(differing),
        )
    return Check("reproduced", None, "made again, and cannot be compared: " + "; ".join(differing))
