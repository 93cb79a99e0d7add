"""Making an asset again from its recipe, and comparing it with what was kept, bit for bit.

It is made in this process by the model version that the recipe names, and marked as the first was; several are made
side by side, which changes no bit of them, and what goes wrong with one is said of that one. On the same numeric
profile every file must be the same. On another one the codes may still be, and are compared; a difference then proves
nothing, and is said to prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from actors.code_version import code_version
from actors.factory import GeneratorFactory
from actors.marking.marker import MARK_STAGE, Marker, MarkingSpec
from db.asset_types import Lineage
from db.errors import CorruptObjectError, StorageError
from db.objects import ObjectStore
from flows.keys import Keys
from flows.provenance.checks import Check
from flows.settings import Dtype, Settings
from models.digests import digest_of_bytes
from models.generator import GenerationError, Generator, Product, inputs_of
from models.making import make_all
from models.personal import TASTE, with_personal
from models.registry import find_version
from models.weights import CorruptModelError, UnknownModelError, UnusableModelError

NAME: Final = "reproduced"
CODES: Final = "codes"


@dataclass(frozen=True, slots=True)
class _Making:
    """What assets have in common that one generator can make again."""

    model: str
    device: str
    dtype: str
    slots: int
    threads: int


@dataclass(frozen=True, slots=True)
class Reproducer:
    """Makes assets again with the settings and keys of an installation."""

    settings: Settings
    keys: Keys
    objects: ObjectStore

    def check(self, known: Lineage) -> Check:
        """Make the asset again; return what comes of the comparison."""
        return self.check_all([known])[known.asset.id]

    def check_all(
        self, assets: Sequence[Lineage], report: Callable[[int], object] = lambda done: done
    ) -> dict[str, Check]:
        """Make many assets again, side by side where model and profile are the same; return the checks by id.

        Args:
            assets: what is to be made again.
            report: called with how many are done.
        """
        checks: dict[str, Check] = {}
        by_making: dict[_Making, dict[str, Lineage]] = {}
        for known in assets:
            try:
                making, lacking = self._making(known), self._lacking(known)
            except (AttributeError, LookupError, TypeError, ValueError) as error:  # rows may hold anything
                detail = f"cannot be made again: its recipe or its profile was changed: {_told(error)}"
                checks[known.asset.id] = Check(NAME, False, detail)
                continue
            if lacking:
                checks[known.asset.id] = Check(NAME, None, f"cannot be made again: {lacking}")
            else:
                by_making.setdefault(making, {})[known.asset.id] = known
        for making, same in by_making.items():
            for asset_id, check in self._compare(making, same):
                checks[asset_id] = check
                report(len(checks))
        return checks

    def _compare(self, making: _Making, assets: Mapping[str, Lineage]) -> Iterator[tuple[str, Check]]:
        try:
            generator = self._generator(making)
        except UnknownModelError as error:
            yield from ((each, Check(NAME, None, f"cannot be made again here: {error}")) for each in assets)
            return
        except (CorruptModelError, UnusableModelError) as error:
            yield from ((each, Check(NAME, False, f"cannot be made again: {error}")) for each in assets)
            return
        except Exception as error:  # of this machine: its memory, its processor, a package that it lacks
            yield from ((each, Check(NAME, None, f"cannot be made again here: {_told(error)}")) for each in assets)
            return
        left = dict(assets)
        recipes = {each: with_personal(_recipe(known), known.personal) for each, known in assets.items()}
        try:
            for asset_id, made in make_all(generator, recipes, lambda each: self._inputs(assets[each])):
                yield asset_id, self._check(left.pop(asset_id), made, generator)
        except Exception as error:  # the generator broke down: over which of them is seen when each is made alone
            if len(assets) == 1:
                yield from ((each, _not_made(error)) for each in left)
                return
            for asset_id, known in left.items():
                yield from self._compare(making, {asset_id: known})

    def _check(self, known: Lineage, made: Product | Exception, generator: Generator) -> Check:
        try:
            if isinstance(made, Exception):
                return _not_made(made)
            return _compared(known, self._content(known, made), _differences(known, generator))
        except Exception as error:
            return _not_made(error)

    def _lacking(self, known: Lineage) -> str | None:
        """Say what an asset was made from and is not kept any more, if anything is."""
        if TASTE in _recipe(known)["controls"] and known.personal is None:
            return "the taste it was made from is erased"
        lost = [role for role, digest in inputs_of(_recipe(known)).items() if not self.objects.exists(digest)]
        return f"the file of its {lost[0]} is not kept any more" if lost else None

    def _inputs(self, known: Lineage) -> dict[str, bytes]:
        found = {}
        for role, digest in inputs_of(_recipe(known)).items():
            try:
                found[role] = self.objects.get(digest)
            except CorruptObjectError as error:
                detail = f"the {role} of asset {known.asset.id[:12]} was changed: {self.objects.locate(digest)}"
                raise GenerationError(detail) from error
        return found

    def _making(self, known: Lineage) -> _Making:
        recipe: Mapping[str, Any] = known.recipe
        profile: Mapping[str, Any] = known.numeric_profile
        return _Making(
            model=f"{recipe['model']['name']}@{recipe['model']['digest']}",
            device=self._device(str(profile.get("device", "cpu"))),
            dtype=self._dtype(str(profile.get("dtype", "float32"))),
            slots=int(profile.get("slots", self.settings.slots)),
            threads=int(profile.get("threads", self.settings.threads)),
        )

    def _generator(self, making: _Making) -> Generator:
        return GeneratorFactory(
            loader=self.settings.generator,
            version=find_version(making.model, [self.settings.model_folder]),
            device=making.device,
            dtype=making.dtype,
            slots=making.slots,
            threads=making.threads,
        )()

    def _device(self, recorded: str) -> str:
        import torch

        return recorded if recorded == "cpu" or torch.cuda.is_available() else "cpu"

    def _dtype(self, recorded: str) -> str:
        return recorded if recorded in get_args(Dtype) else self.settings.dtype

    def _content(self, known: Lineage, product: Product) -> dict[str, str]:
        """Return the digests of what was made, marked as the first was, before manifests."""
        stage = next((stage for stage in known.stages if stage.stage == MARK_STAGE), None)
        marked = stage is not None and stage.detail.get("watermark") != "off"
        spec = MarkingSpec(watermark_key=self.keys.watermark if marked else None, identity=None)
        finished = Marker(spec).finish(known.asset.id, known.recipe, product)
        return {file.role: digest_of_bytes(file.data) for file in finished.product.files}


def _recipe(known: Lineage) -> Mapping[str, Any]:
    recipe: Mapping[str, Any] = known.recipe
    return recipe


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _not_made(error: Exception) -> Check:
    """Say why an asset was not made again: that a store does not answer says nothing of the asset."""
    if isinstance(error, StorageError):
        return Check(NAME, None, f"cannot be made again now: {_told(error)}")
    told = str(error) if isinstance(error, GenerationError) else _told(error)
    return Check(NAME, False, f"cannot be made again: {told}")


def _differences(known: Lineage, generator: Generator) -> list[str]:
    """Return in what this making differs from the first: profile and code."""
    then = known.numeric_profile
    differing = [
        f"{name} {then.get(name, 'not recorded')} then, {now} now"
        for name, now in generator.profile.as_dict().items()
        if now != then.get(name)
    ]
    if known.code_version != code_version():
        differing.append(f"code {known.code_version} then, {code_version()} now")
    return differing


def _compared(known: Lineage, made: Mapping[str, str], differing: list[str]) -> Check:
    kept = {file.role: file.content_digest for file in known.asset.files if file.role in made}
    unequal = sorted(role for role in {*kept, *made} if kept.get(role) != made.get(role))
    whole = "codes and files" if CODES in kept else "files"
    if not unequal:
        return Check(NAME, True, f"made again: {len(made)} {whole} are the same bit for bit")
    if not differing:
        return Check(NAME, False, f"made again on the same profile, and not the same: {', '.join(unequal)}")
    if CODES in kept and CODES not in unequal:
        return Check(
            NAME,
            None,
            f"made again: the codes are the same bit for bit; {', '.join(unequal)} cannot be compared: "
            + "; ".join(differing),
        )
    return Check(NAME, None, "made again, and cannot be compared: " + "; ".join(differing))
