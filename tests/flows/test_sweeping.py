"""Sweeping each kind of object store."""

from flows.services import Backend
from flows.sweeping import Swept, sweep


def test_what_nothing_names_is_counted_and_only_removed_when_asked(database, any_objects):
    any_objects.check()
    digests = any_objects.put_many([b"one", b"three"])
    backend = Backend(database, any_objects)
    assert sweep(backend, remove=False) == Swept(2, 2, 8, removed=False)
    assert all(any_objects.exists(digest) for digest in digests)
    assert sweep(backend, remove=True) == Swept(2, 2, 8, removed=True)
    assert sweep(backend, remove=True) == Swept(0, 0, 0, removed=True)
