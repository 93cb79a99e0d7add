"""Sweeping each kind of object store."""

import asyncio

import tiny_musiclm
import tiny_singsong

from db.digests import digest_of
from flows.catalogue import plan
from flows.services import Backend, Services
from flows.settings import Settings
from flows.stopping import StopRequest
from flows.sweeping import Swept, sweep

TUNE = tiny_singsong.file(tiny_singsong.sung(2.0))


class Sweeping(StopRequest):
    """Looked at before each recipe of a plan: somebody sweeps then."""

    def __init__(self, backend):
        super().__init__("5a5a5a5a5a5a")
        self.backend = backend
        self.swept = []

    def check(self):
        self.swept.append(sweep(self.backend, remove=True).unnamed)


def test_what_nothing_names_is_counted_and_only_removed_when_asked(database, any_objects):
    any_objects.check()
    digests = any_objects.put_many([b"one", b"three"])
    backend = Backend(database, any_objects)
    assert sweep(backend, remove=False) == Swept(2, 2, 8, removed=False)
    assert all(any_objects.exists(digest) for digest in digests)
    assert sweep(backend, remove=True) == Swept(2, 2, 8, removed=True)
    assert sweep(backend, remove=True) == Swept(0, 0, 0, removed=True)


def test_an_order_that_is_swept_while_it_is_planned_keeps_what_it_is_made_from(database, any_objects, tmp_path):
    any_objects.check()
    tiny_musiclm.version(tmp_path / "models" / "musiclm-tiny", follows_melody=True)
    services, backend = Services(Settings(home=tmp_path)), Backend(database, any_objects)
    (tmp_path / "hum.wav").write_bytes(TUNE)
    order = tmp_path / "order.yaml"
    tracks = "[{prompt: flute, melody: hum.wav, count: 2}]"
    order.write_text(f"catalogue: a\nmodel: musiclm-tiny\nduration_s: 2\ntracks: {tracks}\n")
    stop = Sweeping(backend)
    asyncio.run(plan.fn(services, backend, str(order), "5a5a5a5a5a5a", {}, stop))
    assert stop.swept == [1, 0]
    assert any_objects.get(digest_of(TUNE)) == TUNE
    assert sweep(backend, remove=True).unnamed == 0
