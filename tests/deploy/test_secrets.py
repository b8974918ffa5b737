"""Secrets as files, the way orchestrators hand them over."""

from pathlib import Path

import pytest

from services.common.settings import CommonSettings, SettingsError, load


def test_a_secret_is_read_from_a_file_named_like_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "s3_secret_key").write_text("from a file\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("S3_SECRET_KEY", raising=False)
    assert load(CommonSettings).s3_secret_key.get_secret_value() == "from a file"


def test_the_environment_has_precedence_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "s3_secret_key").write_text("from a file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("S3_SECRET_KEY", "from the environment")
    assert load(CommonSettings).s3_secret_key.get_secret_value() == "from the environment"


def test_no_directory_of_secrets_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "missing"))
    assert load(CommonSettings)


def test_a_wrong_value_in_a_file_is_reported_by_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "job_timeout").write_text("soon")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("JOB_TIMEOUT", raising=False)
    with pytest.raises(SettingsError, match="JOB_TIMEOUT"):
        load(CommonSettings)
