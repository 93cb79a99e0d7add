"""The ledger: appends a second in batches; in one of a given size a proof, a root, and hashing all of it again."""

from __future__ import annotations

import random
import time

from bench.support import finish, parser, show, temporary_database, temporary_home
from db.ledger import NewEntry, append, get_entry, inclusion_proof, log_size, tree_head
from db.merkle import verify_inclusion
from flows.provenance.catalogue_audit import ledger_checks
from flows.recipe import ModelIdentity

MODEL = ModelIdentity("none", "sha256:" + "0" * 64, "score")


def entry(number: int) -> NewEntry:
    """Return an entry about as large as that of an asset with eight files."""
    files = [
        {"role": f"role {n}", "name": f"file-{n}", "bytes": number, "digest": f"sha256:{number:064x}"}
        for n in range(8)
    ]
    return NewEntry("asset", f"{number:064x}", {"asset": f"{number:064x}", "files": files, "worker": "bench"})


def main() -> None:
    """Fill a ledger and measure."""
    options = parser(__doc__)
    options.add_argument("--entries", type=int, default=1_000_000)
    options.add_argument("--batch", type=int, default=1_000)
    given = options.parse_args()
    with temporary_home() as home, temporary_database(home, MODEL) as database:
        began, cpu = time.monotonic(), time.process_time()
        for first in range(0, given.entries, given.batch):
            made = [entry(number) for number in range(first, first + given.batch)]
            with database.unit_of_work() as session:
                append(session, made)
        append_s, append_cpu_s = time.monotonic() - began, time.process_time() - cpu
        with database.unit_of_work() as session:
            size = log_size(session)
            head = tree_head(session)
            assert head is not None
            began = time.monotonic()
            for _ in range(200):
                index = random.randrange(size)
                proof = inclusion_proof(session, index, size)
                if not verify_inclusion(get_entry(session, index).leaf_hash, index, size, proof, head.root):
                    raise RuntimeError(f"the proof of entry {index} does not hold")
            proof_ms = (time.monotonic() - began) / 200 * 1e3
            began = time.monotonic()
            checks = ledger_checks(session, None)
            audit_s = time.monotonic() - began
    if not all(check.ok for check in checks):
        raise RuntimeError(str(checks))
    row = {
        "entries": size,
        "appends_per_s": given.entries / append_s,
        "own_cpu_us_an_append": append_cpu_s / given.entries * 1e6,
        "proof_ms": proof_ms,
        "audited_per_s": size / audit_s,
    }
    show([row])
    finish("ledger", row, as_json=given.json)


if __name__ == "__main__":
    main()
