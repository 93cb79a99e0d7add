"""The ledger: appends a second in batches; in one of a given size a proof, a lineage, and hashing all of it again.

Some of its entries are those of assets that were recorded with all their rows, as workers record them; the others are
as large and have no rows. With --objects so many objects are stored besides, and hashed again beside a bare reading
of the same files; both read from the disk, not from memory.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.support import Meter, finish, parser, show, temporary_database, temporary_home
from db.asset_types import AssetFile, Maker, NewAsset, StageExecution
from db.assets import lineage, record_assets
from db.checkpoints import Checkpoint
from db.database import Database, Session
from db.ledger import NewEntry, append, get_entry, inclusion_proof, log_size, tree_head
from db.local_objects import LocalObjects
from db.merkle import verify_inclusion
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, new_run_id
from db.work import Claim, claim
from flows.provenance.catalogue_audit import ledger_checks
from flows.provenance.evidence import asset_entries, gather
from flows.provenance.stored import rows_check
from flows.recipe import ModelIdentity, RecipeWriter

MODEL: Final = ModelIdentity("none", "sha256:" + "0" * 64, "score")
MAKER: Final = Maker("bench", "0", {"device": "cpu", "dtype": "float32", "slots": 8})
ROLES: Final = ("codes", "midi", "midi.c2pa", "musicxml", "musicxml.c2pa", "page", "pdf", "pdf.c2pa", "preview")
LOOKS: Final = 200


def entry(number: int) -> NewEntry:
    """Return an entry about as large as that of an asset with eight files."""
    files = [
        {"role": f"role {n}", "name": f"file-{n}", "bytes": number, "digest": f"sha256:{number:064x}"}
        for n in range(8)
    ]
    return NewEntry("asset", f"{number:064x}", {"asset": f"{number:064x}", "files": files, "worker": "bench"})


def record(database: Database, count: int) -> list[str]:
    """Plan, claim and record so many assets, 250 a transaction; return their ids."""
    writer = RecipeWriter(MODEL, duration_s=60.0, controls={})
    run = NewRun(new_run_id(), "bench", {}, "sha256:00")
    recipes = (writer.write(f"nothing, number {number}", number) for number in range(count))
    planned = (PlannedRecipe(r.id, MODEL.kind, MODEL.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes)
    plan_run(database, run, planned)
    ids: list[str] = []
    while True:
        with database.unit_of_work() as session:
            if not (claims := claim(session, run.id, MAKER.owner, 250, 600.0)):
                return ids
            ids.extend(record_assets(session, MAKER, [finished(each) for each in claims]))


def finished(claimed: Claim) -> NewAsset:
    """Return what a worker would record of a score."""
    digest = f"sha256:{claimed.recipe_id}"
    at = datetime.now(UTC)
    return NewAsset(
        recipe_id=claimed.recipe_id,
        attempt=claimed.attempt,
        digest=digest,
        duration_s=60.0,
        attributes={"key": "D minor", "instruments": ["piano"], "tempo_bpm": 66},
        files=tuple(AssetFile(role, role, digest, "application/octet-stream", 1000) for role in ROLES),
        stages=tuple(StageExecution(name, digest, digest, at, 0.5, {}) for name in ("compose", "engrave", "mark")),
    )


def timed_ms(call: Callable[[], object]) -> float:
    """Return how long a call takes by the clock."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def proof(session: Session, size: int, root: bytes) -> None:
    """Prove an entry drawn at random."""
    index = random.randrange(size)
    hashes = inclusion_proof(session, index, size)
    if not verify_inclusion(get_entry(session, index).leaf_hash, index, size, hashes, root):
        raise RuntimeError(f"the proof of entry {index} does not hold")


def evidence(session: Session, asset: str, checkpoint: Checkpoint) -> None:
    """Gather all that proves an asset, and hold its rows against its entry."""
    known, [entered] = lineage(session, asset), asset_entries(session, asset)
    gather(session, known, entered, checkpoint)
    if not (found := rows_check(known, entered)).ok:
        raise RuntimeError(found.detail)


def look(database: Database, home: Path, ids: list[str]) -> Iterator[tuple[str, float]]:
    """Yield what is asked of a ledger and how it did, by name."""
    with database.unit_of_work() as session:
        size = log_size(session)
        head = tree_head(session)
        assert head is not None
        checkpoint = Checkpoint(head, "", "")
        asked: dict[str, Callable[[], object]] = {
            "proof": lambda: proof(session, size, head.root),
            "lineage": lambda: lineage(session, random.choice(ids)),
            "evidence": lambda: evidence(session, random.choice(ids), checkpoint),
        }
        for name, call in asked.items():
            meter = Meter(home)
            with meter.running():
                took = sorted(timed_ms(call) for _ in range(LOOKS))
            yield f"{name}_ms", median(took)
            yield f"{name}_p99_ms", took[int(LOOKS * 0.99) - 1]
            yield f"{name}_cpu_ms", meter.cpu_s / LOOKS * 1e3
        meter = Meter(home)
        with meter.running():
            checks = ledger_checks(session, ())
        yield "audited_per_s", size / meter.wall_s
        yield "audited_per_cpu_s", size / meter.cpu_s
    if not all(check.ok for check in checks):
        raise RuntimeError(str(checks))


def hash_objects(home: Path, count: int, size: int) -> dict[str, float]:
    """Store objects, hash them again, and read the same files without hashing; in turns, five times."""
    objects = LocalObjects(home / "objects")
    digests: list[str] = []
    for first in range(0, count, 16):
        digests += objects.put_many([os.urandom(size) for _ in range(first, min(first + 16, count))])
    paths = [Path(objects.locate(digest)) for digest in digests]
    megabytes = count * size / 1e6
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(5):
        for name, reading in (
            ("hashed_again", lambda: [len(objects.get(each)) for each in digests]),
            ("read_only", lambda: [len(path.read_bytes()) for path in paths]),
        ):
            for path in paths:
                _forget(path)
            cpu = time.process_time()
            rates[f"{name}_mb_per_s"].append(megabytes / (timed_ms(reading) / 1e3))
            rates[f"{name}_mb_per_cpu_s"].append(megabytes / (time.process_time() - cpu))
    return {name: median(each) for name, each in rates.items()}


def _forget(path: Path) -> None:
    """Have the next reading come from the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def main() -> None:
    """Fill a ledger and measure."""
    options = parser(__doc__)
    options.add_argument("--entries", type=int, default=1_000_000)
    options.add_argument("--assets", type=int, default=20_000, help="how many of the entries have all their rows")
    options.add_argument("--batch", type=int, default=1_000)
    options.add_argument("--objects", type=int, default=0, help="how many objects of 1 MB to store and hash again")
    given = options.parse_args()
    row: dict[str, Any] = {}
    with temporary_home() as home:
        if given.objects:
            row |= hash_objects(home, given.objects, 1_000_000)
        with temporary_database(home, MODEL) as database:
            ids = record(database, given.assets)
            bare = given.entries - given.assets
            meter = Meter(home)
            for first in range(0, bare, given.batch):
                made = [entry(number) for number in range(first, min(first + given.batch, bare))]
                with meter.running(), database.unit_of_work() as session:
                    append(session, made)
            row |= {"appends_per_s": bare / meter.wall_s, "appends_per_cpu_s": bare / meter.cpu_s}
            row |= dict(look(database, home, ids))
    show([{"figure": name, "value": value} for name, value in row.items()])
    finish("ledger", {"entries": given.entries} | row, as_json=given.json)


if __name__ == "__main__":
    main()
