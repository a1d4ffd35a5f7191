"""Settings: one typed class, read from the environment by app.py only, printed as a table, refused in clear lines."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

import app
from datastore.ownership import kept_secret
from datastore.processes import DevServerError
from datastore.settings import Settings, complaints, settings_table

ROOT = Path(app.__file__).parent
KEY = "k" * 32


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m app ...` with nothing of Perch in the environment but these variables."""
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_setting_has_a_default_and_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name


def test_the_environment_is_read_without_a_prefix_and_empty_means_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "8001", "SEED": "off", "RATE_LIMITS": "on", "TEXT_LIMIT": ""}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.port, settings.seed, settings.rate_limits, settings.text_limit) == (8001, False, True, 140)


def test_allowed_origins_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "http://a.example, http://b.example,")
    assert Settings().allowed_origins == ("http://a.example", "http://b.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "eighty"),
        ("SEED", "perhaps"),
        ("PROFILE", "staging"),
        ("MONGO_URL", "http://127.0.0.1"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("TRIM_AT", "200"),
        ("SECRET_KEY", "short"),
        ("PROFILE", "production"),
    ],
)
def test_a_bad_setting_is_one_line_that_begins_with_a_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    (line,) = complaints(refused.value)
    assert line.startswith("SECRET_KEY, MONGO_URL, REDIS_URL: " if value == "production" else f"{name}: ")
    assert "\n" not in line


@pytest.mark.parametrize("key", ["k" * 32, "secret" * 6, "changeme" * 4, "0123" * 10])
def test_production_refuses_a_key_that_nobody_drew(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    urls = {"MONGO_URL": "mongodb://db.example/", "REDIS_URL": "redis://cache.example"}
    for name, value in {"PROFILE": "production", "SECRET_KEY": key, **urls}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    (line,) = complaints(refused.value)
    assert line.startswith("SECRET_KEY: ")
    assert key not in line
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(16))
    assert Settings().profile == "production"


def test_old_keys_are_split_at_commas_and_as_long_as_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD_SECRET_KEYS", f"{KEY}, {KEY[::-1]}")
    assert [key.get_secret_value() for key in Settings().old_secret_keys] == [KEY, KEY[::-1]]
    assert KEY not in settings_table(Settings())
    monkeypatch.setenv("OLD_SECRET_KEYS", f"{KEY},short")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert complaints(refused.value) == ["OLD_SECRET_KEYS: give 32 characters or more"]


def test_a_refused_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "hunter2" not in "".join(complaints(refused.value))


def test_the_table_is_aligned_and_complete_and_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("MONGO_URL", "mongodb://perch:pa@ss@db.example/?replicaSet=rs0")
    head, *rows = settings_table(Settings()).splitlines()
    assert [row.split()[0] for row in rows] == [name.upper() for name in Settings.model_fields]
    for row, field in zip(rows, Settings.model_fields.values(), strict=True):
        assert row[head.index("DESCRIPTION") :] == field.description
    table = "\n".join(rows)
    assert KEY not in table
    assert "pa@ss" not in table
    assert "mongodb://***@db.example/?replicaSet=rs0" in table


def test_the_command_prints_the_table() -> None:
    done = run("settings", PORT="8123")
    assert done.returncode == 0
    assert any(line.split()[:2] == ["PORT", "8123"] for line in done.stdout.splitlines())


def test_bad_settings_end_any_command_with_2_and_a_line_each() -> None:
    done = run("serve", PORT="0", SEED="perhaps")
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["PORT", "SEED"]


def test_production_refuses_to_start_with_what_a_development_makes_up(tmp_path: Path) -> None:
    done = run("serve", PROFILE="production", DATA_DIR=str(tmp_path / "data"))
    told = "SECRET_KEY, MONGO_URL, REDIS_URL: required when PROFILE is production\n"
    assert (done.returncode, done.stderr) == (2, told)
    assert not (tmp_path / "data").exists()


def test_a_development_key_is_made_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    first = app.with_secret(Settings(data_dir=tmp_path / "data")).secret_key.get_secret_value()
    again = app.with_secret(Settings(data_dir=tmp_path / "data")).secret_key.get_secret_value()
    assert first == again
    assert len(first) >= 32
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_a_given_key_wins_and_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", secret_key=SecretStr(KEY))
    assert app.with_secret(settings).secret_key.get_secret_value() == KEY
    assert not (tmp_path / "data").exists()


def test_an_impossible_data_directory_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a directory")
    with pytest.raises(DevServerError, match="cannot keep a key in"):
        kept_secret(tmp_path / "data")
