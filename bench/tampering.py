"""Single bits changed at random in everything that an audit vouches for: is each found, and named?

Each change is made alone, audited as a user would audit it, and undone. "named" says that the audit's words name the
file, row, entry or place that was changed. Changes of the database are those of a superuser, whom no trigger stops.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.installation import Installation, changed, temporary_installation
from bench.support import finish, parser, show
from db.assets import Asset
from db.ledger import get_entry
from db.recalls import note_erasure
from flows.provenance.catalogue_audit import audit_catalogue
from flows.provenance.checks import Audit

PROMPTS = ("slow piano", "string quartet", "flute and harp", "solemn organ")


def flip(rng: random.Random, data: bytes) -> bytes:
    """Return the bytes with one bit of them changed."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


class Tamperer:
    """Changes one kind of thing at a time in an installation."""

    def __init__(self, place: Installation, assets: Sequence[Asset], rng: random.Random) -> None:
        self._place, self._assets, self._rng = place, assets, rng
        self._desk = place.home / "desk"  # where somebody has copies of files
        self._desk.mkdir()
        for asset in assets:
            for file in asset.files:
                (self._desk / f"{asset.id[:12]}-{file.name}").write_bytes(place.objects.get(file.digest))

    def kinds(self) -> dict[str, Callable[[], tuple[Audit, list[str]]]]:
        """Return by name what makes a change, audits it and undoes it; with the words that name what was changed."""
        return {
            "signed file (FLAC)": partial(self._copy, "preview.flac"),
            "manifest beside a file": partial(self._copy, "score.musicxml.c2pa", subject="score.musicxml"),
            "file with one beside it": partial(self._copy, "score.musicxml"),
            "ledger row: body": partial(self._entry, "body"),
            "ledger row: leaf hash": partial(self._entry, "leaf_hash"),
            "ledger row: subject": partial(self._entry, "subject"),
            "ledger row: kind": partial(self._entry, "kind"),
            "ledger row: index": self._index,
            "stored hash": self._node,
            "object": self._object,
            "weights": partial(self._model, "model.safetensors"),
            "model's configuration": partial(self._model, "config.json"),
            "model's signature": partial(self._model, "model.sig"),
            "checkpoint": self._checkpoint,
        }

    def _copy(self, name: str, subject: str | None = None) -> tuple[Audit, list[str]]:
        start = self._rng.choice(self._assets).id[:12]
        with changed(self._desk / f"{start}-{name}", partial(flip, self._rng)):
            return self._place.auditor().audit_file(self._desk / f"{start}-{subject or name}"), [name, "manifest"]

    def _entry(self, column: str) -> tuple[Audit, list[str]]:
        index = self._rng.randrange(1, 1 + len(self._assets))
        with self._place.database.unit_of_work() as session:
            entry = get_entry(session, index)
        value = getattr(entry, column)
        if isinstance(value, str):
            bad = self._rng.randrange(len(value))
            new: object = value[:bad] + chr(ord(value[bad]) ^ 1 << self._rng.randrange(4)) + value[bad + 1 :]
        else:
            new = flip(self._rng, value)
        with self._forced(index, column, new, value):
            return self._everything(), [f"entry {index} ", f"entry {index}:"]

    def _index(self) -> tuple[Audit, list[str]]:
        index = self._rng.randrange(1, 1 + len(self._assets))
        moved = index ^ 1 << self._rng.randrange(10, 40)
        with self._forced(index, "index", moved, index, now_at=moved):
            return self._everything(), [f"{index}"]

    def _node(self) -> tuple[Audit, list[str]]:
        query = "UPDATE ledger_nodes SET hash = set_bit(hash, :bit, 1 - get_bit(hash, :bit)) WHERE position = 0"
        bit = self._rng.randrange(256)
        self._place.force(query, bit=bit)
        try:
            return self._everything(), ["(8, 0)"]
        finally:
            self._place.force(query, bit=bit)

    def _object(self) -> tuple[Audit, list[str]]:
        asset = self._rng.choice(self._assets)
        file = self._rng.choice(asset.files)
        with changed(Path(self._place.objects.locate(file.digest)), partial(flip, self._rng)):
            return self._place.auditor().audit_asset(asset.id), [file.name]

    def _model(self, name: str) -> tuple[Audit, list[str]]:
        path = self._place.model.path
        with changed(path / name, partial(flip, self._rng)):
            return self._place.auditor().audit_asset(self._rng.choice(self._assets).id), [str(path)]

    def _checkpoint(self) -> tuple[Audit, list[str]]:
        kept = sorted(self._place.home.rglob("*.note"))
        path = self._rng.choice(kept)
        with changed(path, partial(flip, self._rng)):
            return self._everything(), [str(path)]

    def _everything(self) -> Audit:
        return audit_catalogue(self._place.auditor(), None)

    @contextmanager
    def _forced(self, index: int, column: str, new: object, old: object, now_at: int | None = None) -> Iterator[None]:
        statement = f"UPDATE ledger_entries SET {column} = :value WHERE index = :index"
        self._place.force(statement, value=new, index=index)
        try:
            yield
        finally:
            self._place.force(statement, value=old, index=index if now_at is None else now_at)


def main() -> None:
    """Make an installation, and change it bit by bit."""
    options = parser(__doc__)
    options.add_argument("--changes", type=int, default=200, help="how many of each kind")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    found: Counter[str] = Counter()
    named: Counter[str] = Counter()
    missed: list[str] = []
    with temporary_installation() as place:
        assets = place.make(PROMPTS)
        with place.database.unit_of_work() as session:
            for number in range(256):  # more than a block of the ledger, so that hashes of subtrees are stored
                note_erasure(session, f"sha256:{number:064x}", "to fill the ledger")
        place.seal()
        tamperer = Tamperer(place, assets, random.Random(given.seed))
        for kind, tamper in tamperer.kinds().items():
            for number in range(given.changes):
                audit, words = tamper()
                if audit.verdict != "failed":
                    missed.append(f"{kind}, change {number}: {audit.verdict}")
                    continue
                found[kind] += 1
                told = " ".join(check.detail for check in audit.checks if check.ok is False)
                named[kind] += any(word in told for word in words)
                if not any(word in told for word in words):
                    missed.append(f"{kind}, change {number}: not named in: {told}")
            print(f"{kind}: {found[kind]} of {given.changes} found, {named[kind]} named", flush=True)
        if place.auditor().audit_asset(assets[0].id).verdict != "proved":
            raise RuntimeError("the installation was not put back as it was")
    for line in missed[:20]:
        print(line)
    rows = [{"changed": kind, "found": found[kind], "named": named[kind], "of": given.changes} for kind in found]
    show(rows)
    finish("tampering", {"rows": rows, "missed": missed}, as_json=given.json)


if __name__ == "__main__":
    main()
