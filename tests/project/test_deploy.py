"""What the image and the compose files name is there: settings, commands, files, secrets."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from minio.error import S3Error

from db.database import connect
from flows.cli.app import app
from flows.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GPU = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
SERVICES = COMPOSE["services"]
BIN = Path(sys.executable).parent


def words(command) -> list[str]:
    """A command of compose as its words."""
    return command.split() if isinstance(command, str) else [word for part in command for word in str(part).split()]


def mounts(service: str) -> dict[str, str]:
    """What is mounted in a service, by where."""
    split = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", each).split(":") for each in SERVICES[service].get("volumes", [])]
    return {target: source for source, target, *_ in split}


def test_the_services_of_a_deployment_are_all_there():
    expected = {"postgres", "s3", "prepare", "prefect", "prefect-worker", "ray-head", "ray-worker", "tutti"}
    assert SERVICES.keys() == expected
    assert GPU["services"].keys() <= expected


@pytest.mark.parametrize("compose", [COMPOSE, GPU], ids=["compose", "gpu"])
def test_every_setting_of_tutti_exists(compose):
    for name, service in compose["services"].items():
        for variable in service.get("environment", {}):
            if variable.startswith("TUTTI_"):
                assert variable.removeprefix("TUTTI_").lower() in Settings.model_fields, f"{name}: {variable}"


def test_settings_of_tutti_have_values_that_it_takes(monkeypatch):
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if variable.startswith("TUTTI_"):
                monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
    settings = Settings()
    assert settings.ray_address == "ray-head:6379"
    assert settings.objects_at == "s3://tutti"


def test_prefect_knows_the_variables_it_is_given():
    shown = subprocess.run(
        [BIN / "prefect", "config", "view", "--show-defaults"],
        capture_output=True,
        text=True,
        check=True,
        env=_wide(),
    ).stdout
    known = set(re.findall(r"^(PREFECT_\w+)=", shown, re.MULTILINE))
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("PREFECT_")} <= known


def test_every_variable_asked_of_the_user_is_in_the_example_and_secrets_have_no_default():
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    texts = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "compose.gpu.yaml").read_text()
    asked = dict(re.findall(r"\$\{(\w+)(:[-?][^}]*)?\}", texts))
    assert set(example) <= set(asked)
    assert set(asked) - set(example) == {"TUTTI_GPUS_PER_WORKER"}
    for name, otherwise in asked.items():
        if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY")):
            assert otherwise.startswith(":?"), name


def test_what_a_service_waits_for_can_come_true():
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
            if condition["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no", f"{name} waits for {other}"


def test_images_of_others_are_pinned_by_a_version():
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", service["image"]), name


def test_volumes_and_files_that_are_mounted_exist():
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            if source == "./orders":
                continue  # the user's
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), f"{name}: {source}"


def test_what_signs_has_the_same_home_and_what_plans_or_makes_pieces_the_same_models():
    image = (DEPLOY / "Dockerfile").read_text()
    home = re.search(r"TUTTI_HOME=(\S+)", image)[1]
    for name in ("tutti", "prefect-worker"):
        assert "TUTTI_HOME" not in SERVICES[name]["environment"]
        assert mounts(name).get(home) == "home", name
    for name in ("tutti", "prefect-worker", "ray-worker"):
        assert mounts(name).get(SERVICES[name]["environment"]["TUTTI_MODELS"]) == "models", name


def test_a_new_volume_of_ours_belongs_to_the_user_of_the_image():
    made = re.search(r"install -d -o tutti -g tutti (.*) \\", (DEPLOY / "Dockerfile").read_text())[1].split()
    ours = [name for name, service in SERVICES.items() if service["image"] == COMPOSE["x-tutti"]["image"]]
    assert {target for name in ours for target in mounts(name)} <= set(made)


def test_every_volume_is_said_to_be_kept():
    text = (DEPLOY / "README.md").read_text()
    kept = re.search(r"^What is to be kept are the volumes (.*?)\.", text, re.MULTILINE)[1]
    assert set(re.findall(r"`(\w+)`", kept)) == COMPOSE["volumes"].keys()


def test_build_arguments_are_those_of_the_image():
    known = set(re.findall(r"^ARG (\w+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    for compose in (COMPOSE, GPU):
        for service in compose["services"].values():
            assert set(service.get("build", {}).get("args", {})) <= known
    dockerfile = (DEPLOY.parent / COMPOSE["x-tutti"]["build"]["dockerfile"]).resolve()
    assert dockerfile == DEPLOY / "Dockerfile"


def test_what_the_image_copies_is_there_and_not_left_out_of_its_context():
    allowed = [
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for sources in re.findall(
        r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    ):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert source in allowed, source


def test_the_image_has_every_package_of_the_project():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for package in ("actors", "db", "flows", "models"):
        assert f"COPY {package} {package}\n" in dockerfile


def test_the_image_does_not_run_as_root():
    last = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER tutti$", last, re.MULTILINE)
    assert last.index("\nUSER tutti") < last.index("\nENTRYPOINT")


def test_tutti_commands_exist():
    known = typer.main.get_command(app).commands
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    asked = [re.search(r'HEALTHCHECK .* CMD \["tutti", "(\w+)"\]', dockerfile)[1], SERVICES["tutti"]["command"][1]]
    assert set(asked) <= set(known)


def test_options_given_to_ray_exist():
    told = {
        name: subprocess.run([BIN / "ray", name, "--help"], capture_output=True, text=True, check=True).stdout
        for name in ("start", "status")
    }
    commands = [words(SERVICES[name]["command"]) for name in ("ray-head", "ray-worker")]
    commands += [words(SERVICES[name]["healthcheck"]["test"]) for name in ("ray-head", "ray-worker")]
    joined = (DEPLOY / "entrypoint.sh").read_text().replace("\\\n", " ")
    commands.append(next(line for line in joined.splitlines() if "ray start" in line).split())
    for command in commands:
        verb = command[command.index("ray") + 1]
        for option in (word.partition("=")[0] for word in command if word.startswith("--")):
            assert option in told[verb], f"{verb} {option}"


@pytest.mark.parametrize("service", ["prefect", "prefect-worker"])
def test_options_given_to_prefect_exist(service):
    command = SERVICES[service]["command"]
    told = subprocess.run(
        [BIN / "prefect", *command[1:3], "--help"], capture_output=True, text=True, check=True, env=_wide()
    ).stdout
    for option in (word for word in command if word.startswith("--")):
        assert option in told, option


def test_options_given_to_the_object_store_exist():
    told = subprocess.run([BIN / "weed", "server", "-h"], capture_output=True, text=True, check=False)
    for option in SERVICES["s3"]["command"][1:]:
        name = option.partition("=")[0]
        assert re.search(rf"^\s*{re.escape(name)}\b", told.stdout + told.stderr, re.MULTILINE), name


def test_the_shell_reads_the_entrypoint_and_runs_what_follows():
    done = subprocess.run(
        ["sh", DEPLOY / "entrypoint.sh", "echo", "two words"], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout == "two words\n"


def test_preparing_makes_the_bucket_and_the_tables_and_may_be_repeated(databases, s3):
    bucket, url = f"tutti-prepare-{os.getpid()}", databases.empty()
    owner = s3.owner
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TUTTI_DATABASE_URL": url,
        "TUTTI_OBJECTS": f"s3://{bucket}",
        "TUTTI_S3_ENDPOINT": owner.endpoint,
        "TUTTI_S3_ACCESS_KEY": owner.access_key,
        "TUTTI_S3_SECRET_KEY": owner.secret_key,
    }
    try:
        for _ in range(2):
            subprocess.run([sys.executable, DEPLOY / "prepare.py"], env=environment, check=True)
        database = connect(url)
        database.upgrade()  # would raise, were the tables of another version
        database.close()
        assert s3.client().bucket_exists(bucket)
    finally:
        databases.drop(url)
        try:
            s3.remove_bucket(bucket)
        except S3Error as error:
            assert error.code == "NoSuchBucket"


def test_the_sql_for_a_new_volume_is_what_the_server_reads(databases):
    """Run by psql in the container; here every statement but the switches of database."""
    import psycopg

    text = (DEPLOY / "postgres" / "10-databases.sql").read_text()
    statements = [line for line in text.splitlines() if line and not line.startswith(("--", "\\"))]
    assert statements[0] == "CREATE DATABASE prefect;"
    url = databases.empty()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements[1:]:
            connection.execute(statement)
    databases.drop(url)


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker is not installed")
def test_docker_reads_the_compose_files(tmp_path):
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("Docker has no compose plugin")
    for files in (["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]):
        named = [part for file in files for part in ("-f", str(DEPLOY / file))]
        command = ["docker", "compose", "--env-file", str(DEPLOY / ".env.example"), *named, "config", "--quiet"]
        subprocess.run(command, check=True)


def _wide() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200"}
