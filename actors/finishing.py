"""From a draft to a committed asset: post stages in one thread, objects and rows in another.

Both threads run beside the generator, so that it need not wait for engraving or for a disk. Objects are stored
first and rows are committed after, many at a time; a worker that dies in between leaves objects that no row
names, which is harmless, and never a row without its object.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from typing import Any

from actors.code_version import code_version
from actors.identity import asset_digest
from actors.marking.manifests import SIDECAR_TYPE
from actors.marking.marker import Finished, Marker
from actors.patience import Patience
from db.asset_types import AssetFile, Maker, NewAsset, Parent, StageExecution
from db.database import Database
from db.errors import InvalidValueError
from db.objects import ObjectStore
from db.recording import record_assets
from db.work import Claim, Failure, set_aside
from models.generator import GenerationError, Generator, Product, inputs_of

_LARGEST_COMMIT = 256


@dataclass(frozen=True, slots=True)
class Made:
    """A finished product of a claim, and what made it.

    `unsigned` has digests of files before their manifests, by role.
    """

    claim: Claim
    product: Product
    unsigned: Mapping[str, str]
    maker: Maker


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a worker puts what it makes, and how long it waits for either to come back."""

    database: Database
    objects: ObjectStore
    patience: Patience


def failure(claim: Claim, error: BaseException) -> Failure:
    """Describe an error as the work row keeps it: one line, and the whole traceback."""
    text = str(error).replace("\x00", "").encode("utf-8", "replace").decode()
    line = " ".join(text.split()) or type(error).__name__
    if not isinstance(error, GenerationError):
        line = f"{type(error).__name__}: {line}"
    trace = "".join(traceback.format_exception(error)).replace("\x00", "").encode("utf-8", "replace").decode()
    return Failure(claim.recipe_id, claim.attempt, line[:2000], trace[-20_000:])


class FinishingLine:
    """Takes drafts and failures, and commits them; `held` says how many are on their way.

    Args:
        stores: the database and the object store.
        owner: as whom the items were claimed.
        on_done: called in a thread of the line with the ids that are off the worker's hands.
        marker: marks and signs what was made, the last of the post stages.
    """

    def __init__(
        self, stores: Stores, owner: str, on_done: Callable[[Collection[str]], None], marker: Marker | None = None
    ) -> None:
        self._stores, self._owner, self._on_done, self._marker = stores, owner, on_done, marker
        self._code_version = code_version()  # now: of the code that is loaded, not of what its files become
        self._drafts: queue.SimpleQueue[tuple[Generator, Claim, Any] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Made | Failure | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._finish, name="finish", daemon=True),
            threading.Thread(target=self._commit, name="commit", daemon=True),
        ]
        self.broken: BaseException | None = None
        self.made = 0
        self.failed = 0
        for thread in self._threads:
            thread.start()

    def draft(self, generator: Generator, claim: Claim, drafted: Any) -> None:
        """Hand over a draft for the post stages."""
        self._drafts.put((generator, claim, drafted))

    def fail(self, claim: Claim, error: BaseException) -> None:
        """Hand over an item that cannot be made."""
        self._results.put(failure(claim, error))

    def close(self) -> None:
        """Finish and commit all that was handed over, then end both threads."""
        self._drafts.put(None)
        for thread in self._threads:
            thread.join()

    def _finish(self) -> None:
        while self._finish_next():
            pass
        self._results.put(None)

    def _finish_next(self) -> bool:
        """Wait for a draft and finish it; return whether there was one. While it waits no generator is held."""
        handed = self._drafts.get()
        if handed is None:
            return False
        generator, claim, drafted = handed
        try:
            product = generator.finish(drafted)
            _check(product)
            finished = self._mark(claim, product)
        except BaseException as error:  # a panic in a library's Rust is no Exception
            self.fail(claim, error)
        else:
            maker = Maker(self._owner, self._code_version, generator.profile.as_dict())
            self._results.put(Made(claim, finished.product, finished.unsigned, maker))
        return True

    def _mark(self, claim: Claim, product: Product) -> Finished:
        if self._marker is None:
            return Finished(product, {})
        return self._marker.finish(claim.recipe_id, claim.body, product)

    def _commit(self) -> None:
        last = False
        while not last:
            batch, last = self._next_batch()
            if self.broken is not None or not batch:
                continue  # nothing more can be committed: leases will run out, and others make these
            try:
                self._commit_batch(batch)
            except BaseException as error:
                self.broken = error
            self._on_done([_id(result) for result in batch])

    def _next_batch(self) -> tuple[list[Made | Failure], bool]:
        batch: list[Made | Failure] = []
        item = self._results.get()
        while item is not None:
            batch.append(item)
            if len(batch) == _LARGEST_COMMIT or self._results.empty():
                return batch, False
            item = self._results.get()
        return batch, True

    def _commit_batch(self, batch: Sequence[Made | Failure]) -> None:
        made = [result for result in batch if isinstance(result, Made)]
        failures = [result for result in batch if isinstance(result, Failure)]
        try:
            assets = self._store(made)
            self._stores.patience.call(lambda: self._record(made, assets, failures))
        except InvalidValueError as error:
            if len(batch) > 1:
                for result in batch:
                    self._commit_batch([result])
            elif made:  # this product holds what no database can: it alone is set aside
                self._commit_batch([failure(made[0].claim, error)])
            else:
                raise

    def _store(self, made: Sequence[Made]) -> list[NewAsset]:
        data = [file.data for each in made for file in each.product.files]
        digests = iter(self._stores.patience.call(lambda: self._stores.objects.put_many(data)) if data else ())
        return [_asset(each, digests) for each in made]

    def _record(self, made: Sequence[Made], assets: Sequence[NewAsset], failures: Sequence[Failure]) -> None:
        recorded = 0
        with self._stores.database.unit_of_work() as session:
            for maker, group in groupby(zip(made, assets, strict=True), key=lambda pair: pair[0].maker):
                recorded += len(record_assets(session, maker, [asset for _, asset in group]))
            aside = set_aside(session, self._owner, failures) if failures else frozenset()
        self.made += recorded
        self.failed += len(aside)


def _id(result: Made | Failure) -> str:
    return result.claim.recipe_id if isinstance(result, Made) else result.recipe_id


def _check(product: Product) -> None:
    roles = [file.role for file in product.files]
    if not roles or len(set(roles)) < len(roles):
        raise GenerationError(f"a product needs files of different roles, this one has {roles}")
    names = [PurePath(file.name).name for file in product.files]  # as they lie in one folder on a shelf
    if len(set(names)) < len(names):
        raise GenerationError(f"a product needs files of different names, this one has {names}")


def _asset(made: Made, digests: Iterator[str]) -> NewAsset:
    product = made.product
    files = tuple(
        AssetFile(file.role, file.name, digest, file.media_type, len(file.data), made.unsigned.get(file.role))
        for file, digest in zip(product.files, digests, strict=False)
    )
    return NewAsset(
        recipe_id=made.claim.recipe_id,
        attempt=made.claim.attempt,
        digest=asset_digest({f.role: f.content_digest for f in files if f.media_type != SIDECAR_TYPE}),
        duration_s=product.duration_s,
        attributes=product.attributes,
        files=files,
        stages=tuple(
            StageExecution(s.name, s.input_digest, s.output_digest, s.started_at, s.wall_s, s.detail)
            for s in product.stages
        ),
        parents=tuple(Parent(digest, role) for role, digest in inputs_of(made.claim.body).items()),
    )
