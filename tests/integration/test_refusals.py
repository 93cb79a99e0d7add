"""What cannot be done is refused in one line, with exit code 2 or 3, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_singsong
from typer import Exit
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.errors import errors_told

GOOD = "catalogue: a\ntracks: [{prompt: calm harp}]\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("TUTTI_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TUTTI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "file").write_text("")
    yield tmp_path / "home"
    assert not (tmp_path / "home").exists(), "nothing is left behind"


def refuse(*arguments, code):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    line = done.stderr.removesuffix("\n")
    assert line.startswith("tutti: ") and "\n" not in line
    return line


ORDERS = {
    "an unknown key": ("catalogue: a\ncolour: red\ntracks: [{prompt: x}]", "o.yaml:2: colour: unknown key"),
    "a key of another program": ("catalogue: a\ntracks:\n- lyrics: []", "o.yaml:3: tracks[0].lyrics: unknown key"),
    "a wrong type": ("catalogue: a\ntracks:\n- prompt: x\n  count: two", "o.yaml:4: tracks[0].count: must be a"),
    "an empty prompt": ("catalogue: a\ntracks:\n- prompt: ''", "o.yaml:3: tracks[0].prompt: empty"),
    "no duration": ("catalogue: a\nduration_s: 0\ntracks: [{prompt: x}]", "o.yaml:2: duration_s: 0 is outside"),
    "no YAML": ("catalogue: [", "o.yaml"),
    "an empty file": ("", "o.yaml: empty"),
    "a key twice": ("catalogue: a\ncatalogue: b\n", "o.yaml:2: catalogue: this key is there twice"),
    "an unknown instrument": (
        "catalogue: a\ntracks:\n- prompt: x\n  instruments: [kazoo]",
        "o.yaml:4: tracks[0].inst",
    ),
    "a missing file": (
        "catalogue: a\ntracks:\n- prompts_from: no.csv#c",
        "o.yaml:3: tracks[0].prompts_from: no.csv: no such file",
    ),
    "an unknown model": (
        "catalogue: a\nmodel: none\ntracks: [{prompt: x}]",
        "o.yaml:2: model: 'none' is not registered; known:",
    ),
    "a story that is not told": ("catalogue: a\ntracks:\n- story: []", "o.yaml:3: tracks[0].story: begins with"),
    "a kind its model does not make": (
        "catalogue: a\nmodel: musiclm-small\nkind: score\ntracks: [{prompt: x}]",
        "o.yaml:2: model: musiclm-small makes a soundscape, not a score",
    ),
    "a kind with a vowel": (
        "catalogue: a\nkind: accompaniment\nmodel: score-small\ntracks: [{prompt: x}]",
        "o.yaml:3: model: score-small makes a score, not an accompaniment",
    ),
}


@pytest.mark.parametrize("case", ORDERS, ids=str)
def test_a_bad_order_is_refused_by_the_command(home, case):
    text, expected = ORDERS[case]
    (home.parent / "o.yaml").write_text(text)
    assert expected in refuse("generate", "o.yaml", "--json", code=2)


def test_an_order_that_is_absent_a_folder_or_not_utf_8_is_refused(home):
    (home.parent / "bad.csv").write_bytes(b"prompt\n\xff\n")
    assert "none.yaml: no such file" in refuse("generate", "none.yaml", code=2)
    assert "is a folder" in refuse("generate", home.parent, code=2)
    assert "bad.csv:2: not UTF-8" in refuse("generate", "bad.csv", code=2)


def test_a_model_that_an_option_names_is_refused_as_the_option(home):
    (home.parent / "kind.yaml").write_text("catalogue: a\nkind: score\ntracks: [{prompt: calm harp}]\n")
    (home.parent / "verse.wav").write_bytes(tiny_singsong.file(tiny_singsong.sung(2.0)))
    for order in ("good.yaml", "kind.yaml"):
        refused = refuse("generate", order, "--model", "none", code=2)
        assert refused.startswith("tutti: --model: 'none' is not registered; known:")
    refused = refuse("accompany", "verse.wav", "--model", "score-small", code=2)
    assert refused == "tutti: --model: score-small makes a score, not an accompaniment"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["pipe.yaml", "pipe.csv", "pipe.jsonl", "pipe"])
def test_a_pipe_is_refused_and_not_waited_for(home, name):
    os.mkfifo(home.parent / name)
    assert refuse("generate", name, code=2) == f"tutti: {name}: is a pipe or a device, not a file"


def test_options_that_cannot_be_are_refused(home):
    assert "seed: must be greater" in refuse("generate", "good.yaml", "--seed", "-1", code=2)
    assert "duration_s: nan is outside" in refuse("generate", "good.yaml", "--duration-s", "nan", code=2)
    refused = refuse("generate", "good.yaml", "--kind", "opera", code=2)
    assert "kind: must be 'score', 'soundscape' or 'accompaniment'" in refused


@pytest.mark.parametrize(
    ("option", "cron", "problem"),
    [
        ("--playlists-at", "at night", "of five fields: minute, hour, day, month, day of the week"),
        ("--playlists-at", "0 7 * * * *", "of five fields: minute, hour, day, month, day of the week"),
        ("--audit-at", "61 * * * *", ": bad minute"),
        ("--audit-at", "0 0 31 2 *", ": bad day-of-month"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_before_anything_starts(home, option, cron, problem):
    usual = {"--playlists-at": "7 * * * *", "--audit-at": "30 2 * * *"}[option]
    line = refuse("serve", option, cron, code=2)
    assert line.startswith(f"tutti: {option}: {cron!r} is no cron expression") and problem in line
    assert line.endswith(f"; the default is {usual!r}")


@pytest.mark.parametrize("arguments", [["sing"], ["generate"], ["generate", "good.yaml", "--loud"], ["show"]])
def test_a_command_that_is_not_there_is_a_usage_error(home, arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("command", ["resume", "cancel", "show", "export", "runs"])
def test_what_was_never_made_is_not_found(home, command):
    extra = ["--to", "out"] if command == "export" else []
    assert "nothing was" in refuse(command, "abcdef", *extra, code=2)


@pytest.mark.parametrize(
    ("arguments", "answer"), [(["list"], "assets"), (["runs"], "runs"), (["search", "harp"], "assets")]
)
def test_reading_before_anything_was_made_finds_nothing_and_starts_nothing(home, arguments, answer):
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert (done.exit_code, done.stdout) == (0, f'{{"{answer}": [], "more": false}}\n')


def test_down_says_that_nothing_was_running(home):
    done = CliRunner().invoke(app, ["down"])
    assert (done.exit_code, done.stdout) == (0, f"nothing was running in {home}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--kind", "foo"], "--kind: must be 'score', 'soundscape' or 'accompaniment', not 'foo'"),
        (["--catalogue", "nope"], "there is no catalogue 'nope': nothing was made here yet"),
        (["--run", "nope"], "there is no run 'nope': nothing was made here yet"),
    ],
)
def test_a_list_of_what_cannot_be_is_refused(home, arguments, line):
    assert refuse("list", *arguments, code=2) == f"tutti: {line}"


@pytest.mark.parametrize("path", ["file", "file/below", "/proc/tutti"])
def test_a_home_that_cannot_be_written_is_refused(home, monkeypatch, path):
    monkeypatch.setenv("TUTTI_HOME", str(home.parent / path))
    refuse("generate", "good.yaml", code=3)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("TUTTI_DATABASE_URL", "nonsense", 2),
        ("TUTTI_DATABASE_URL", "mysql://u@h/d", 2),
        ("TUTTI_DATABASE_URL", "postgresql://u@127.0.0.1:1/d", 3),
        ("TUTTI_OBJECTS", "file/below", 3),
        ("TUTTI_OBJECTS", "s3://bucket", 3),
        ("TUTTI_OBJECTS", "s3://UPPER", 2),
        ("PREFECT_API_URL", "http://127.0.0.1:1/api", 3),
        ("TUTTI_WORKERS", "none", 2),
    ],
)
def test_a_part_that_is_not_where_it_is_said_to_be_is_refused(home, monkeypatch, name, value, code):
    monkeypatch.setenv(name, value)
    refuse("generate", "good.yaml", code=code)


def test_an_s3_server_that_refuses_is_told(home, monkeypatch, s3, bucket):
    monkeypatch.setenv("TUTTI_OBJECTS", f"s3://{bucket}")
    monkeypatch.setenv("TUTTI_S3_ENDPOINT", s3.access.endpoint)
    monkeypatch.setenv("TUTTI_S3_ACCESS_KEY", s3.access.access_key)
    monkeypatch.setenv("TUTTI_S3_SECRET_KEY", "wrong")
    refuse("generate", "good.yaml", code=3)
    monkeypatch.setenv("TUTTI_S3_SECRET_KEY", s3.access.secret_key)
    monkeypatch.setenv("TUTTI_OBJECTS", "s3://there-is-no-such-bucket")
    assert "there-is-no-such-bucket" in refuse("generate", "good.yaml", code=3)


def test_what_nobody_foresaw_is_told_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUTTI_HOME", str(tmp_path / "home"))
    with pytest.raises(Exit) as ended, errors_told():
        {}["surprise"]
    assert ended.value.exit_code == 70
    said = capsys.readouterr().err
    log = said.split("report it with ")[1].strip()
    assert "KeyError: 'surprise'" in said and log.startswith(str(tmp_path / "home" / "logs"))
    assert "in test_what_nobody_foresaw_is_told_and_kept" in Path(log).read_text()


def test_a_command_asked_to_stop_says_nothing_of_what_it_had_started(capsys):
    with pytest.raises(Exit) as ended, errors_told():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert (ended.value.exit_code, capsys.readouterr().err) == (128 + signal.SIGTERM, "stopped; say it again\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", b"caf\xe9"],
        ["generate", b"caf\xe9"],
        ["accompany", b"caf\xe9"],
        ["listeners", "add", b"caf\xe9"],
        ["recall", "--prompt", b"caf\xe9"],
        ["list", b"--catalogue=caf\xe9"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_argument_that_is_not_utf_8_is_refused_and_named(home, arguments):
    done = subprocess.run([sys.executable, "-m", "flows.cli", *arguments], env=in_checkout(), capture_output=True)
    shown = arguments[-1].decode("utf-8", "backslashreplace")
    line = f"tutti: argument {len(arguments)}, '{shown}', is not UTF-8; of a file, change its name\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", line)


def in_checkout():
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=in_checkout(), capture_output=True, text=True, check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["generate", "none.yaml"], ["list", "--help"]], ids=" ".join)
def test_help_and_refusals_import_nothing_heavy(home, arguments):
    code = (
        "import sys\nfrom flows.cli import main\nsys.argv = ['tutti', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'ray', 'prefect', 'music21') if m in sys.modules], file=sys.stderr)"
    )
    done = run_python(code, *arguments)
    assert done.stderr.splitlines()[-1] == "[]"


def test_reading_imports_no_model_no_ray_no_prefect_and_of_objects_in_a_folder_no_client_of_s3(home):
    code = "import sys\nimport flows.cli.app, flows.cli.backend, flows.summary, db.assets, db.runs, db.work\n"
    code += "flows.services.Services(flows.settings.load_settings()).objects()\n"
    code += "heavy = 'torch', 'ray', 'prefect', 'numpy', 'minio', 'urllib3', 'yaml', 'alembic'\n"
    code += "print([m for m in heavy if m in sys.modules])"
    done = run_python(code)
    assert done.stdout == "[]\n"


def commands(group, path=()):
    for name, command in sorted(getattr(group, "commands", {}).items()):
        yield (*path, name), command
        yield from commands(command, (*path, name))


def test_every_command_has_help_and_every_answer_can_be_json():
    from typer.main import get_command

    for path, command in commands(get_command(app)):
        done = CliRunner().invoke(app, [*path, "--help"])
        assert done.exit_code == 0 and len(done.stdout) > 80, path
        answers = not hasattr(command, "commands") and path != ("serve",)  # which ends when it is told to
        if answers:
            assert "--json" in done.stdout, path
