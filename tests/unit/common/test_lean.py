"""What services do not load."""

# ruff: noqa: PLC0415 -- importing is what is tested here

import subprocess
import sys

import pytest

from services.common.lean import with_stub, without

UNWANTED = {"rich", "Crypto", "argon2", "miniopy_async.minioadmin"}


@pytest.mark.parametrize("service", ["gateway", "transcoder", "notifier"])
def test_no_service_loads_what_it_never_uses(service: str):
    code = f"import services.{service}.{'main' if service == 'notifier' else 'app'}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"services.{service}" in loaded
    assert UNWANTED.intersection(loaded) == set()


def test_what_is_left_out_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hls(0, 0, 0) == (0, 0, 0)


def test_a_stub_has_what_is_asked_of_it_and_nothing_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with with_stub("colorsys", "rgb_to_hls"):
        from colorsys import rgb_to_hls

        assert rgb_to_hls is None
        with pytest.raises(ImportError):
            from colorsys import hls_to_rgb  # noqa: F401
    assert "colorsys" not in sys.modules


def test_what_is_there_already_stays(monkeypatch: pytest.MonkeyPatch):
    import colorsys

    monkeypatch.setitem(sys.modules, "colorsys", colorsys)
    with without("colorsys"):
        import colorsys as again
    assert again is colorsys
