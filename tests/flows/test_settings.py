"""Settings come from the environment, and bad ones are named."""

from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.settings import load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("TUTTI_"):
            monkeypatch.delenv(name)


def test_with_nothing_set_all_is_below_one_home(monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.home == tmp_path / "tutti"
    assert settings.objects_at == str(tmp_path / "tutti" / "objects")
    assert settings.model_folder == tmp_path / "tutti" / "models"
    assert settings.database_url is None
    assert not settings.home.exists()


def test_root_has_its_home_where_other_users_can_enter(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert load_settings().home == Path("/var/lib/tutti")


def test_every_part_can_be_moved(monkeypatch):
    monkeypatch.setenv("TUTTI_HOME", "relative/home")
    monkeypatch.setenv("TUTTI_DATABASE_URL", "postgresql://u:opensesame@db/t")
    monkeypatch.setenv("TUTTI_OBJECTS", "s3://bucket")
    monkeypatch.setenv("TUTTI_WORKERS", "3")
    settings = load_settings()
    assert settings.home == Path.cwd() / "relative/home"
    assert settings.objects_at == "s3://bucket"
    assert settings.workers == 3
    assert "opensesame" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TUTTI_WORKERS", "0", "must be greater than or equal to 1"),
        ("TUTTI_WORKERS", "many", "must be a whole number"),
        ("TUTTI_DEVICE", "toaster", "must be auto, cpu, cuda or cuda:1"),
        ("TUTTI_DTYPE", "float7", "must be 'float32', 'bfloat16', 'float16' or 'int8'"),
        ("TUTTI_GPUS_PER_WORKER", "-1", "must be greater than or equal to 0"),
        ("TUTTI_GENERATOR", "no colon", "must be a function as module:name"),
        ("TUTTI_LEASE_S", "nan", "must be less than or equal to 3600"),
        ("TUTTI_LEASE_S", "soon", "must be a number"),
        ("TUTTI_NOTIFY_URL", "me", "must be http://… or https://…"),
    ],
)
def test_a_bad_setting_is_named_with_what_it_must_be(monkeypatch, name, value, problem):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"{name}: {problem}, not {value!r}"


def test_licences_are_listed_with_commas(monkeypatch):
    assert load_settings().night_licences is None
    monkeypatch.setenv("TUTTI_NIGHT_LICENCES", "CC0-1.0, Apache-2.0,")
    assert load_settings().night_licences == ("CC0-1.0", "Apache-2.0")
