"""How many processors a container may use."""

from pathlib import Path

import pytest

from services.transcoder import processors


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("6400000 100000", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_the_quota_of_the_control_group_counts(tmp_path: Path, cpu_max: str, expected: int):
    (tmp_path / "cpu.max").write_text(cpu_max)
    assert processors.available(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_that_of_the_first_version_too(tmp_path: Path, quota: str, expected: int):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert processors.available(tmp_path) == expected


def test_without_control_groups_it_is_what_the_process_is_bound_to(tmp_path: Path):
    assert processors.available(tmp_path) == 8
