"""Model versions and training runs."""

from dataclasses import replace

import pytest

from db.errors import InvalidValueError, UnknownModelVersionError, UnknownTrainingRunError
from db.model_versions import (
    NewModelVersion,
    finish_training,
    get_version,
    list_registered,
    register_version,
    start_training,
)

MODEL = NewModelVersion("sha256:" + "a" * 64, "score-small", "score", {"layers": 2}, {"licence": "CC0"})


def test_registering_twice_registers_once_and_keeps_the_first(database):
    with database.unit_of_work() as session:
        first = register_version(session, MODEL)
        again = register_version(session, replace(MODEL, card={"licence": "other"}))
        assert first == again == get_version(session, MODEL.digest)
        assert (first.name, first.config, first.card) == ("score-small", {"layers": 2}, {"licence": "CC0"})
        register_version(session, replace(MODEL, digest="sha256:" + "b" * 64))
        assert len(list_registered(session)) == 2


def test_an_unknown_version_is_said_so(database):
    with database.unit_of_work() as session, pytest.raises(UnknownModelVersionError, match="sha256:cc"):
        get_version(session, "sha256:cc")


def test_a_card_that_json_cannot_hold_is_refused(database):
    with database.unit_of_work() as session, pytest.raises(InvalidValueError, match="card of score-small"):
        register_version(session, replace(MODEL, card={"loss": float("nan")}))


def test_a_training_is_recorded_from_start_to_the_version_it_made(database):
    with database.unit_of_work() as session:
        begun = start_training(session, "score-small", {"steps": 100})
        assert (begun.finished_at, begun.model_digest, begun.metrics) == (None, None, {})
        with pytest.raises(UnknownModelVersionError):
            finish_training(session, begun.id, {"nll": 1.2}, MODEL.digest)
        register_version(session, MODEL)
        done = finish_training(session, begun.id, {"nll": 1.2}, MODEL.digest)
        assert (done.id, done.metrics, done.model_digest) == (begun.id, {"nll": 1.2}, MODEL.digest)
        assert done.finished_at is not None
        with pytest.raises(UnknownTrainingRunError):
            finish_training(session, "000000000000", {}, MODEL.digest)
