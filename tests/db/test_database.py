"""Connecting, units of work and migrations, on a real server."""

import subprocess
import sys
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

import db.migrations
from db.database import connect
from db.errors import (
    DatabaseConflictError,
    DatabaseUnavailableError,
    DatabaseUrlError,
    DatabaseVersionError,
)
from db.tables import metadata


@pytest.mark.parametrize(
    "url", ["", "not an address", "mysql://root@localhost/x", "postgresql://h:port/x", "postgresql://h:99999/x"]
)
def test_what_is_no_postgresql_address_is_refused(url):
    with pytest.raises(DatabaseUrlError):
        connect(url)


def test_an_address_where_nobody_answers_is_said_to_be_unavailable_within_seconds():
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1"):
        connect("postgresql://me:hidden@127.0.0.1:1/x")
    assert time.monotonic() - began < 8


def test_a_password_is_never_shown_in_an_error():
    with pytest.raises(DatabaseUnavailableError) as caught:
        connect("postgresql://me:hidden@127.0.0.1:1/x")
    assert "hidden" not in str(caught.value)


def test_an_unknown_user_or_database_is_said_to_be_unavailable(databases):
    with pytest.raises(DatabaseUnavailableError, match="no_such_user"):
        connect(databases.url.set(username="no_such_user").render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailableError, match="no_such_database"):
        connect(databases.address("no_such_database"))


def test_a_wrong_password_is_said_so(password_server):
    good, wrong = password_server
    connect(good).close()
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed"):
        connect(wrong)


def test_a_unit_of_work_commits_at_its_end_and_rolls_back_on_an_error(database):
    with database.unit_of_work() as session:
        session.execute(text("INSERT INTO catalogues (name) VALUES ('kept')"))
    with pytest.raises(ZeroDivisionError), database.unit_of_work() as session:
        session.execute(text("INSERT INTO catalogues (name) VALUES ('lost')"))
        raise ZeroDivisionError
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT name FROM catalogues")).scalars().all() == ["kept"]


def test_a_connection_that_is_cut_is_reported_and_the_next_unit_of_work_gets_a_new_one(database):
    with pytest.raises(DatabaseUnavailableError), database.unit_of_work() as session:
        me = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with database.unit_of_work() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": me})
        session.execute(text("SELECT 1"))
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1


def test_a_deadlock_is_reported_as_a_conflict_to_one_of_the_two(database):
    with database.unit_of_work() as session:
        session.execute(text("INSERT INTO catalogues (name) VALUES ('a'), ('b')"))
    both_hold = threading.Barrier(2)
    outcomes = []

    def cross(first, second):
        lock = text("SELECT FROM catalogues WHERE name = :name FOR UPDATE")
        try:
            with database.unit_of_work() as session:
                session.execute(lock, {"name": first})
                both_hold.wait(10)
                session.execute(lock, {"name": second})
            outcomes.append("through")
        except DatabaseConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=cross, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["conflict", "through"]


def test_the_migrations_make_the_tables_that_the_code_declares(database_url):
    engine = create_engine(make_url(database_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_head_revision_is_the_newest_of_the_migrations():
    config = Config()
    config.set_main_option("script_location", db.migrations.__path__[0])
    assert ScriptDirectory.from_config(config).get_current_head() == db.migrations.HEAD


def test_an_upgrade_twice_is_an_upgrade_once(databases):
    url = databases.empty()
    database = connect(url)
    database.upgrade()
    database.upgrade()
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [
            db.migrations.HEAD
        ]
    database.close()
    databases.drop(url)


def test_two_processes_may_upgrade_at_once(databases):
    url = databases.empty()
    code = "import sys; from db.database import connect; connect(sys.argv[1]).upgrade()"
    both = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.wait(60), one.stderr.read()) for one in both] == [(0, b"")] * 3
    databases.drop(url)


def test_a_schema_newer_than_the_code_is_refused(database):
    with database.unit_of_work() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseVersionError, match="9999"):
        database.upgrade()


def test_a_database_with_tables_of_something_else_is_refused_and_left_as_it_was(databases):
    url = databases.empty()
    database = connect(url)
    with database.unit_of_work() as session:
        session.execute(text("CREATE TABLE runs (mine int)"))
    with pytest.raises(DatabaseVersionError, match="runs"):
        database.upgrade()
    with database.unit_of_work() as session:
        tables = session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        assert tables.scalars().all() == ["runs"]
    database.close()
    databases.drop(url)


def test_what_the_driver_refuses_to_send_is_no_server_that_is_away(database):
    names = ", ".join(f":n{n}" for n in range(65_536))
    with pytest.raises(OperationalError, match="parameters"), database.unit_of_work() as session:
        session.execute(text(f"SELECT 1 WHERE 1 IN ({names})"), {f"n{n}": n for n in range(65_536)})
    with database.unit_of_work() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
