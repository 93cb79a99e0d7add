"""What the README and CONTRIBUTING say is so."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli import errors
from flows.cli.app import app
from flows.order import load_order
from flows.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
GROUPS = ("models", "listeners", "playlists")  # commands of two words
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "deploy/README.md", "bench/README.md"]


def commands() -> dict[str, object]:
    """Every command by its words, such as "models list"."""

    def walk(group, words):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield " ".join((*words, name)), command

    return dict(walk(typer.main.get_command(app), ()))


def table_after(heading: str) -> list[list[str]]:
    """The rows of the first table whose first column is headed so."""
    match = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert match, heading
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in match[1].splitlines()]


def test_the_table_of_commands_has_every_command_and_no_other():
    named = []
    for row in table_after("command"):
        words = row[0].strip("`").split()[1:]
        named.append(" ".join(words[: 2 if words[0] in GROUPS else 1]))
    assert sorted(named) == sorted(commands())


def test_arguments_and_options_in_the_table_are_those_of_the_commands():
    for row in table_after("command"):
        words = row[0].strip("`").split()[1:]
        command = commands()[" ".join(words[: 2 if words[0] in GROUPS else 1])]
        arguments = [p.metavar for p in command.params if p.param_type_name == "argument"]
        given = re.findall(r"\s\[?([A-Z]+)\]?", re.sub(r"--[a-z-]+ [A-Z]+", "", " ".join(words)))
        assert given == [a.strip("[]") for a in arguments], row[0]
        required = {o for p in command.params if p.param_type_name == "option" and p.required for o in p.opts}
        assert set(re.findall(r"--[a-z-]+", row[0])) == required, row[0]


def test_every_command_has_help_and_says_it_in_a_sentence():
    for name, command in commands().items():
        assert command.help and command.help.split("\n")[0].endswith("."), name


def test_the_table_of_variables_has_every_setting_and_no_other():
    variables = [row[0].strip("`") for row in table_after("variable")]
    assert sorted(variables) == sorted(f"TUTTI_{name.upper()}" for name in Settings.model_fields)


def test_defaults_in_the_table_of_variables_are_those_of_the_settings():
    for variable, default, _ in table_after("variable"):
        field = Settings.model_fields[variable.strip("`").removeprefix("TUTTI_").lower()]
        if re.fullmatch(r"`[^`/]+`", default):
            is_so = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert default.strip("`") == is_so, variable
        else:  # said in words: worked out, or none
            assert field.default is None or field.default_factory is not None, variable


def test_the_exit_codes_are_those_of_the_command_line():
    said = {int(row[0]) for row in table_after("exit code") if row[0].isdigit()}
    assert said == {errors.DONE, errors.SET_ASIDE, errors.WRONG_INPUT, errors.SERVICE_FAILED, errors.UNFORESEEN}


def test_the_json_answer_has_the_keys_that_are_promised():
    from flows.summary import AssetLine, RunSummary

    promised = re.findall(r'"(\w+)"', re.search(r"generate --json` answers `(.*)`", README)[1])
    summary = RunSummary("r", "c", 1, 1, 0, 0, 1.0, 1.0, [AssetLine("i", "p", "w", 1, 1.0, "d")], []).as_json()
    assert promised == [*list(summary)[:-1], "assets", *summary["assets"][0]]


def test_the_sample_order_can_be_ordered(tmp_path):
    sample = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    path = tmp_path / "rainy-study.yaml"
    path.write_text(sample)
    order = load_order(path)
    assert order.catalogue == yaml.safe_load(sample)["catalogue"]
    assert len(list(order.tracks)) == 3


def test_the_first_two_commands_set_up_and_make_the_example_then_set_up_and_test():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [block.strip() for block in blocks[:2]] == ["make demo", "make test"]
    assert (ROOT / ".ci" / "run").read_text().count("make --no-print-directory test\n") == 1


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_that_are_there(document):
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_that_are_named_are_there(document):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_variables_that_are_named_are_there(document):
    readers = (ROOT / "tests" / "services.py", ROOT / "tests" / "models" / "musicgen" / "test_musicgen.py")
    tests = "".join(path.read_text() for path in readers)
    for name in re.findall(r"TUTTI_[A-Z0-9_]*[A-Z0-9]", (ROOT / document).read_text()):
        known = name.removeprefix("TUTTI_").lower() in Settings.model_fields
        assert known or name in tests or name == "TUTTI_S3", name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tutti_commands_that_are_named_are_there(document):
    for words in re.findall(
        r"(?:^ *|`|run --rm tutti )tutti ([a-z][a-z ]*[a-z])", (ROOT / document).read_text(), re.MULTILINE
    ):
        command = typer.main.get_command(app)
        for word in words.split():
            command = getattr(command, "commands", {}).get(word)
            assert command is not None, words
            if not hasattr(command, "commands"):
                break
