"""The audit of every night."""

import pytest

from flows.errors import VerificationError
from flows.nightly_audit import audit_all
from flows.provenance.sampling import sample
from flows.services import Backend, Services


def test_everything_is_audited_and_a_sample_made_again_until_something_is_wrong(own_place):
    made = own_place.make(1, 2)
    services, backend = Services(own_place.settings), Backend(own_place.database, own_place.objects)
    assert audit_all(services, backend, 1) == {
        "everything": "proved",
        "made_again": {sample([asset.id for asset in made.values()], 1, own_place.seal().head.root)[0]: "proved"},
    }
    own_place.object_path(made[2], "midi").unlink()
    with pytest.raises(VerificationError, match=r"score\.mid of asset .* is gone"):
        audit_all(services, backend, 0)


def test_the_sample_is_another_for_another_root():
    ids = [f"{number:064x}" for number in range(500)]
    assert sample(ids, 5, b"one") == sample(ids[::-1], 5, b"one") != sample(ids, 5, b"two")
    assert len(set(sample(ids, 5, b"one"))) == 5
