"""The pull worker, bare of Ray, on a real database and real files."""

import os
import signal
import threading
import time
import weakref
from dataclasses import replace

import pytest
from lost_answers import losing_an_answer
from sqlalchemy import text
from tiny_generator import TinyGenerator

from actors.errors import BrokenGeneratorError
from db.assets import AssetFilter, lineage, lineages, list_assets
from db.database import connect
from db.errors import DatabaseUnavailableError, ObjectStoreError, ObjectStoreUnavailableError, UnknownRunError
from db.objects import S3Access, open_objects
from db.runs import cancel_run
from db.s3_objects import S3Objects
from db.work import claim, list_set_aside, progress


def assets(database, run_id):
    with database.unit_of_work() as session:
        return list_assets(session, AssetFilter(run_id=run_id, limit=None))


def state(database, run_id):
    with database.unit_of_work() as session:
        return progress(session, run_id)


def set_aside(database, run_id):
    with database.unit_of_work() as session:
        return list_set_aside(session, run_id)


def test_a_worker_makes_every_item_of_its_run_and_stops(plan, worker, database, objects):
    run_id = plan([f"prompt {i}" for i in range(30)])
    generator = TinyGenerator(slots=4)
    report = worker(run_id, generator).run()
    assert (report.made, report.failed) == (30, 0)
    assert generator.most_at_once == 4
    made = assets(database, run_id)
    assert [asset.prompt for asset in made] == [f"prompt {i}" for i in range(30)]
    assert all(objects.exists(file.digest) for asset in made for file in asset.files)


def test_the_lineage_says_who_made_an_asset_and_how(plan, worker, database):
    run_id = plan(["calm harp"])
    one = worker(run_id, TinyGenerator())
    one.run()
    with database.unit_of_work() as session:
        found = lineage(session, assets(database, run_id)[0].id)
    assert found.worker == one.owner
    assert found.numeric_profile["backend"] == "tiny"
    assert [stage.stage for stage in found.stages] == ["compose"]
    assert found.recipe["prompt"] == "calm harp"


def test_items_that_fail_are_set_aside_with_their_traceback_and_the_rest_is_made(plan, worker, database):
    run_id = plan(["a", "poison", "b", "finish", "c", "nan", *"defgh"])
    report = worker(run_id, TinyGenerator(slots=3)).run()
    assert (report.made, report.failed) == (8, 3)
    by_prompt = {item.prompt: item for item in set_aside(database, run_id)}
    assert by_prompt["poison"].error == "this prompt cannot be made: poison"
    assert by_prompt["finish"].error == "ValueError: the page has no room"
    assert 'raise ValueError("the page has no room")' in by_prompt["finish"].traceback
    assert "NaN" in by_prompt["nan"].error or "nan" in by_prompt["nan"].error


class OneName(TinyGenerator):
    """Gives the files of a product one name, each in a folder of its own."""

    def finish(self, drafted):
        product = super().finish(drafted)
        return replace(product, files=tuple(replace(file, name=f"{file.role}/score") for file in product.files))


def test_a_product_whose_files_share_a_name_is_set_aside(plan, worker, database):
    run_id = plan(["a"])
    report = worker(run_id, OneName()).run()
    assert (report.made, report.failed) == (0, 1)
    assert "needs files of different names" in set_aside(database, run_id)[0].error


class Panic(BaseException):
    """As a library in Rust raises it: no Exception."""


class Panicking(TinyGenerator):
    """Panics in the post stages of one prompt."""

    def finish(self, drafted):
        if drafted["prompt"] == "panic":
            raise Panic("capacity overflow")
        return super().finish(drafted)


def test_a_panic_in_a_post_stage_sets_its_item_aside_and_the_rest_is_made(plan, worker, database):
    run_id = plan(["a", "panic", "b"])
    report = worker(run_id, Panicking()).run()
    assert (report.made, report.failed) == (2, 1)
    assert set_aside(database, run_id)[0].error == "Panic: capacity overflow"


def test_a_store_that_is_away_ends_the_worker_and_is_no_fault_of_the_items(plan, worker, database):
    run_id = plan(["a", "b"], melody="sha256:" + "0" * 64)
    nowhere = S3Objects("bucket", S3Access("http://127.0.0.1:1", "key", "secret"))
    with pytest.raises(ObjectStoreUnavailableError):
        worker(run_id, TinyGenerator(), objects=nowhere, patience_s=0.2).run()
    assert (state(database, run_id).queued, state(database, run_id).failed) == (2, 0)


def test_an_item_whose_input_is_not_in_the_store_is_set_aside(plan, worker, database):
    run_id = plan(["a"], melody="sha256:" + "0" * 64)
    assert worker(run_id, TinyGenerator()).run().failed == 1
    assert set_aside(database, run_id)[0].error.startswith("MissingObjectError: ")


def test_an_item_that_breaks_the_generator_is_found_out_alone(plan, worker, database):
    run_id = plan([*"abcde", "explode", *"fghij"])
    made = []

    def factory():
        made.append(TinyGenerator(slots=4))
        return made[-1]

    report = worker(run_id, factory).run()
    assert (report.made, report.failed) == (10, 1)
    assert [item.prompt for item in set_aside(database, run_id)] == ["explode"]
    assert set_aside(database, run_id)[0].error == "RuntimeError: the generator is broken"
    assert len(made) == 3  # broken once among others, once alone


def test_a_generator_that_broke_down_is_gone_before_another_is_loaded_and_assets_tell_them_apart(
    plan, worker, database
):
    run_id = plan([*"abcde", "explode", *"fghij"])
    loaded = []

    def factory():
        assert all(one() is None for one in loaded)
        generator = TinyGenerator(slots=4)
        generator.profile = replace(generator.profile, threads=len(loaded) + 1)
        loaded.append(weakref.ref(generator))
        return generator

    assert worker(run_id, factory).run().made == 10
    with database.unit_of_work() as session:
        made = lineages(session, assets(database, run_id))
    threads = {each.recipe["prompt"]: each.numeric_profile["threads"] for each in made}
    assert threads["a"] == 1
    assert max(threads.values()) > 1


def test_many_items_that_break_the_generator_do_not_stop_the_others(plan, worker, database):
    run_id = plan([f"explode {i}" if i % 5 == 2 else f"prompt {i}" for i in range(30)])
    report = worker(run_id, lambda: TinyGenerator(slots=4)).run()
    assert (report.made, report.failed) == (24, 6)


def test_a_generator_that_always_breaks_ends_the_worker_and_gives_the_work_back(plan, worker, database):
    run_id = plan([f"explode {i}" for i in range(40)])
    with pytest.raises(BrokenGeneratorError, match="10 times in a row"):
        worker(run_id, lambda: TinyGenerator(slots=2)).run()
    assert state(database, run_id).claimed == 0
    assert state(database, run_id).queued >= 30


def test_a_recipe_whose_content_was_changed_is_not_made(plan, worker, database):
    run_id = plan(["honest", "changed"])
    with database.unit_of_work() as session:
        session.execute(
            text("""UPDATE recipes SET body = jsonb_set(body, '{prompt}', '"other"') WHERE prompt = 'changed'""")
        )
    report = worker(run_id, TinyGenerator()).run()
    assert (report.made, report.failed) == (1, 1)
    assert "has the content of" in set_aside(database, run_id)[0].error


def test_two_workers_share_a_run_and_make_nothing_twice(plan, worker, database):
    run_id = plan([f"prompt {i}" for i in range(60)])
    workers = [worker(run_id, TinyGenerator(slots=2, step_s=0.005)) for _ in range(2)]
    reports = []
    threads = [threading.Thread(target=lambda w=w: reports.append(w.run())) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.made for report in reports) == 60
    assert min(report.made for report in reports) > 0
    assert len({asset.id for asset in assets(database, run_id)}) == 60


def test_what_a_dead_worker_held_is_made_alone_when_its_lease_is_over(plan, worker, database):
    run_id = plan(["a", "b", "c", "d"])
    with database.unit_of_work() as session:
        assert len(claim(session, run_id, "dead", 2, 0.5)) == 2
    generator = TinyGenerator(slots=4)
    report = worker(run_id, generator).run()
    assert report.made == 4
    assert generator.most_at_once == 2  # the two fresh ones together, then the two suspects one by one


def test_a_worker_that_lost_its_leases_commits_nothing(plan, worker, database):
    run_id = plan(["a"])
    slow = worker(run_id, TinyGenerator(step_s=0.5), lease_s=3600)
    thread = threading.Thread(target=slow.run)
    thread.start()
    time.sleep(0.7)
    with database.unit_of_work() as session:
        session.execute(text("UPDATE work SET owner = 'other', attempt = attempt + 1, lease_until = now() + '2 s'"))
    time.sleep(1.5)
    assert assets(database, run_id) == []
    thread.join()
    assert state(database, run_id).done == 1  # made anew once the other's lease was over


def test_a_long_item_keeps_its_lease(plan, worker, database):
    run_id = plan(["a"])
    report = worker(run_id, TinyGenerator(step_s=0.8), lease_s=1.0).run()
    assert report.made == 1
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT max(attempt) FROM work")).scalar_one() == 1


def test_a_stopped_worker_commits_what_it_finished_and_gives_back_the_rest(plan, worker, database):
    run_id = plan([f"prompt {i}" for i in range(40)])
    one = worker(run_id, TinyGenerator(slots=4, step_s=0.05))
    thread = threading.Thread(target=one.run)
    thread.start()
    while state(database, run_id).done < 8:
        time.sleep(0.02)
    one.stop()
    thread.join(5)
    assert not thread.is_alive()
    after = state(database, run_id)
    assert after.claimed == 0 and 8 <= after.done < 40
    assert worker(run_id, TinyGenerator(slots=40)).run().made == 40 - after.done
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT max(attempt) FROM work")).scalar_one() == 1  # nobody is a suspect


def test_a_worker_that_is_there_before_its_run_waits_for_it(plan, worker):
    loaded = threading.Event()
    reports = []

    def factory():
        loaded.set()
        return TinyGenerator()

    one = worker("5a5a5a5a5a5a", factory, awaits_plan=True)
    thread = threading.Thread(target=lambda: reports.append(one.run()))
    thread.start()
    assert loaded.wait(5)
    thread.join(0.5)
    assert thread.is_alive()
    plan(["calm harp", "slow flute"], run_id="5a5a5a5a5a5a")
    thread.join(5)
    assert [report.made for report in reports] == [2]


def test_a_worker_that_waits_for_its_run_can_be_stopped(worker):
    one = worker("5a5a5a5a5a5a", TinyGenerator(), awaits_plan=True)
    thread = threading.Thread(target=one.run)
    thread.start()
    one.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_a_run_that_is_not_there_is_told(worker):
    with pytest.raises(UnknownRunError):
        worker("5a5a5a5a5a5a", TinyGenerator()).run()


def test_a_cancelled_run_stops_its_workers(plan, worker, database):
    run_id = plan([f"prompt {i}" for i in range(400)])
    one = worker(run_id, TinyGenerator(slots=1, step_s=0.02), lease_s=1.0)
    thread = threading.Thread(target=one.run)
    thread.start()
    time.sleep(0.5)
    with database.unit_of_work() as session:
        cancel_run(session, run_id)
    thread.join(5)
    assert not thread.is_alive()
    assert len(assets(database, run_id)) < 400


def test_a_worker_gets_over_the_death_of_its_database_but_not_for_ever(plan, worker, mortal_database, mortal_server):
    run_id = plan([f"prompt {i}" for i in range(60)], database=mortal_database)
    one = worker(run_id, TinyGenerator(slots=2, step_s=0.02), mortal_database, patience_s=60)
    reports = []
    thread = threading.Thread(target=lambda: reports.append(one.run()))
    thread.start()
    while state(mortal_database, run_id).done < 5:
        time.sleep(0.02)
    os.kill(mortal_server.status().pid, signal.SIGKILL)
    time.sleep(0.5)
    mortal_server.up()
    thread.join(60)
    assert reports[0].made == 60

    run_id = plan(["a", "b"], seed=2, database=mortal_database)
    hasty = worker(run_id, TinyGenerator(slots=1, step_s=0.3), mortal_database, patience_s=1)
    errors = []
    thread = threading.Thread(target=lambda: errors.append(error_of(hasty)))
    thread.start()
    time.sleep(0.3)
    os.kill(mortal_server.status().pid, signal.SIGKILL)
    thread.join(30)
    assert isinstance(errors[0], DatabaseUnavailableError)


def test_what_was_claimed_when_the_answer_was_lost_is_made_all_the_same(plan, worker, database):
    run_id = plan([f"prompt {i}" for i in range(12)])
    with losing_an_answer(database.url, "attempt = attempt + 1") as proxy:
        lossy = connect(proxy.url)
        one = worker(run_id, TinyGenerator(slots=4), lossy)
        reports = []
        thread = threading.Thread(target=lambda: reports.append(one.run()))
        thread.start()
        thread.join(20)
        one.stop()
        thread.join(5)
        lossy.close()
    assert proxy.lost == 1
    assert [report.made for report in reports] == [12]
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT max(attempt) FROM work")).scalar_one() == 1  # nobody is a suspect


def error_of(worker):
    try:
        worker.run()
    except Exception as error:
        return error


def test_a_store_that_cannot_be_written_ends_the_worker_and_leaves_no_row(plan, database, tmp_path):
    from actors.worker import PullWorker, WorkerOptions, new_owner

    (tmp_path / "file").write_text("not a folder")
    run_id = plan(["a", "b"])
    store = open_objects(tmp_path / "file" / "objects")
    options = WorkerOptions(run_id=run_id, poll_s=0.05, patience_s=1)
    with pytest.raises(ObjectStoreError):
        PullWorker(options, database, store, TinyGenerator, new_owner()).run()
    assert assets(database, run_id) == []
    assert state(database, run_id).queued == 2


def test_an_item_wanted_by_two_runs_is_made_once_and_ends_both(plan, worker, database):
    first, second = plan(["a", "b", "c"]), plan(["b", "c", "d"])
    assert worker(first, TinyGenerator()).run().made == 3
    assert worker(second, TinyGenerator()).run().made == 1
    assert state(database, second).done == 3
