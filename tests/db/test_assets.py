"""Recording, finding and tracing assets."""

import itertools
import math

import numpy as np
import pytest
from sqlalchemy import text

from db.assets import (
    AssetFilter,
    LineageEdge,
    assets_from,
    get_asset,
    lineage,
    lineages,
    list_assets,
    record_assets,
    search_assets,
    stream_assets,
    stream_files,
)
from db.errors import InvalidValueError, UnknownAssetError
from db.planning import plan_run
from db.runs import NewRun, new_run_id
from db.work import claim, progress, release_owner

TABLES = ("assets", "asset_files", "stage_executions", "lineage_edges")


def rows(database):
    with database.unit_of_work() as session:
        return [session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES]


def take(database, run, owner="w", **options):
    with database.unit_of_work() as session:
        return claim(session, run, owner, 99, 60.0, **options)


def record(database, plant, claims, owner="w", **changes):
    with database.unit_of_work() as session:
        return record_assets(session, plant.maker(owner), [plant.finished(one, **changes) for one in claims])


def test_an_asset_is_recorded_with_its_files_stages_and_edges(database, plant, vocals):
    run = plant.plan(1, catalogue="rainy")
    [one] = take(database, run)
    assert record(database, plant, [one], parents=(vocals, vocals)) == {one.recipe_id}
    assert rows(database) == [1, 2, 2, 2]
    with database.unit_of_work() as session:
        found = lineage(session, one.recipe_id[:6])
    assert found.asset.prompt == "slow solo piano, number 1"
    assert (found.asset.seed, found.asset.model_name, found.asset.duration_s) == (1, "score-small", 19.5)
    assert [file.role for file in found.asset.files] == ["codes", "midi"]
    assert found.recipe == one.body
    assert (found.worker, found.code_version, found.numeric_profile["device"]) == ("w", "0.1.0", "cpu")
    assert [(stage.stage, stage.wall_s, dict(stage.detail)) for stage in found.stages] == [
        ("write", 1.5, {"steps": 400}),
        ("engrave", 0.5, {}),
    ]
    assert found.stages[0].started_at.tzinfo is not None
    assert found.edges == (
        LineageEdge(one.recipe_id, plant.recipe(1).model_digest, "model"),
        LineageEdge(one.recipe_id, vocals.digest, "vocals"),
    )
    assert (found.runs, found.catalogues) == ((run,), ("rainy",))


def test_recording_twice_records_once(database, plant):
    claims = take(database, plant.plan(1, 2))
    assert len(record(database, plant, claims)) == 2
    before = rows(database)
    assert record(database, plant, claims) == frozenset()
    assert rows(database) == before


def test_a_stale_worker_records_nothing(database, plant):
    run = plant.plan(1, 2)
    stale = take(database, run, "stale")
    with database.unit_of_work() as session:
        release_owner(session, "stale")
    assert record(database, plant, stale, "stale") == frozenset()
    assert rows(database) == [0, 0, 0, 0]
    again = take(database, run, "new", solo=True)
    assert record(database, plant, again, "new") == {one.recipe_id for one in again}


def test_of_a_batch_only_what_is_still_held_is_recorded(database, plant):
    run = plant.plan(1, 2, 3)
    claims = take(database, run)
    record(database, plant, claims[:1])
    assert record(database, plant, claims) == {one.recipe_id for one in claims[1:]}
    assert rows(database)[0] == 3


def test_nothing_is_recorded_and_the_work_stays_open_when_the_unit_of_work_fails(database, plant):
    run = plant.plan(1)
    claims = take(database, run)
    with pytest.raises(ZeroDivisionError), database.unit_of_work() as session:
        record_assets(session, plant.maker("w"), [plant.finished(one) for one in claims])
        raise ZeroDivisionError
    assert rows(database) == [0, 0, 0, 0]
    with database.unit_of_work() as session:
        assert progress(session, run).claimed == 1


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, r"attributes\.loudness\[1\] is nan"),
        (-math.inf, "is -inf"),
        (np.float32(1.5), "numpy.float32"),
        (np.int64(3), "numpy.int64"),
        ("a\x00b", "NUL"),
        ({1: "one"}, "the key 1"),
        ({"s"}, "set"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(database, plant, value, where):
    claims = take(database, plant.plan(1))
    with pytest.raises(InvalidValueError, match=where):
        record(database, plant, claims, attributes={"loudness": [0, value]})
    assert rows(database) == [0, 0, 0, 0]


def test_attributes_come_back_as_they_were(database, plant):
    attributes = {"a": [1, 2.5, None, True], "b": {"ü": '\\ " \n \t 雨'}, "big": 2**53, "small": 1e-9}
    claims = take(database, plant.plan(1))
    record(database, plant, claims, attributes=attributes)
    with database.unit_of_work() as session:
        assert get_asset(session, claims[0].recipe_id).attributes == attributes


def test_an_asset_is_found_by_any_beginning_of_its_id_that_is_its_alone(database, plant):
    claims = take(database, plant.plan(*range(40)))
    record(database, plant, claims)
    with database.unit_of_work() as session:
        for one in claims:
            assert get_asset(session, one.recipe_id[:12]).id == one.recipe_id
        assert get_asset(session, claims[0].recipe_id[:4]).id == claims[0].recipe_id
        with pytest.raises(UnknownAssetError, match="give at least 4 digits of an asset's id"):
            get_asset(session, claims[0].recipe_id[:3])
        for unknown in ("", claims[0].recipe_id[:3], "0" * 64, "zzzzzz", "______", claims[0].recipe_id + "0"):
            with pytest.raises(UnknownAssetError):
                get_asset(session, unknown)


def test_a_beginning_that_two_assets_share_is_refused(database, plant):
    by_start = {}
    for number in itertools.count():
        other = by_start.setdefault(plant.recipe(number).id[:6], number)
        if other != number:
            break
    record(database, plant, take(database, plant.plan(other, number)))
    with database.unit_of_work() as session, pytest.raises(UnknownAssetError, match="several"):
        get_asset(session, plant.recipe(number).id[:6])


def test_assets_are_listed_by_catalogue_run_kind_and_model(database, plant):
    first = plant.plan(3, 1, 2, catalogue="one")
    second = plant.plan(2, 4, catalogue="two")
    record(database, plant, take(database, first))
    record(database, plant, take(database, second))

    def listed(**where):
        with database.unit_of_work() as session:
            return [one.seed for one in list_assets(session, AssetFilter(**where))]

    assert listed(run_id=first) == [3, 1, 2]
    assert listed(run_id=second) == [2, 4]
    assert sorted(listed(catalogue="two")) == [2, 4]
    assert sorted(listed(kind="score", model_digest=plant.recipe(1).model_digest, limit=None)) == [1, 2, 3, 4]
    assert listed(kind="soundscape") == []
    assert listed()[0] == 4, "newest first"
    assert len(listed(limit=2)) == 2


def test_words_of_prompt_and_attributes_are_found_best_first(database, plant):
    prompts = ["urgent strings for a chase", "slow piano, rain outside", "a piano in the rain, rainy piano"]
    run = NewRun(new_run_id(), "study", {}, "sha256:0")
    plan_run(database, run, [plant.recipe(number, prompt) for number, prompt in enumerate(prompts)])
    claims = take(database, run.id)
    record(database, plant, claims[:1], attributes={"mood": "tense", "tempo": 140})
    record(database, plant, claims[1:])

    def found(words):
        with database.unit_of_work() as session:
            return [one.seed for one in search_assets(session, words)]

    assert found("piano rain") == [2, 1]
    assert found("chasing") == [0]
    assert found("tense") == [0]
    assert found('"rain outside"') == [1]
    assert found("piano -outside") == [2]
    assert found("harp or strings") == [0]
    assert found("harp") == found("") == found("the ((( & !") == []


def test_what_was_made_from_an_input_or_a_model_is_found_by_its_digest(database, plant, vocals):
    claims = take(database, plant.plan(1, 2))
    record(database, plant, claims[:1], parents=(vocals,))
    record(database, plant, claims[1:])
    with database.unit_of_work() as session:
        assert [one.seed for one in assets_from(session, vocals.digest)] == [1]
        assert len(assets_from(session, plant.recipe(1).model_digest)) == 2
        assert assets_from(session, "sha256:" + "9" * 64) == []


def test_the_files_of_a_run_stream_by(database, plant):
    run = plant.plan(1, 2)
    plant.plan(3)
    record(database, plant, take(database, run))
    with database.unit_of_work() as session:
        streamed = list(stream_files(session, run))
    assert sorted((asset_id, file.role) for asset_id, file in streamed) == sorted(
        (identity, role) for identity in plant.ids(1, 2) for role in ("codes", "midi")
    )


def test_a_file_that_has_no_size_is_refused_by_the_database_itself(database, plant):
    claims = take(database, plant.plan(1))
    record(database, plant, claims)
    with pytest.raises(Exception, match="asset_files_bytes_check"), database.unit_of_work() as session:
        session.execute(text("UPDATE asset_files SET bytes = -1"))


def test_there_may_be_more_assets_than_a_query_takes_parameters(database, plant):
    many = range(66_000)
    run = plant.plan(*many)
    digest = "sha256:" + "c" * 64
    with database.unit_of_work() as session:
        session.execute(
            text(
                "INSERT INTO assets (id, digest, kind, duration_s, attributes, worker, code_version, numeric_profile,"
                " words) SELECT recipe_id, :digest, 'score', 1.0, '{}', 'w', '0', '{}', '' FROM run_items"
            ),
            {"digest": digest},
        )
    with database.unit_of_work() as session:
        found = list_assets(session, AssetFilter(run_id=run, limit=None))
        assert len(lineages(session, found)) == len(found) == len(many)
        assert [each.id for each in stream_assets(session, run)] == [each.id for each in found]
