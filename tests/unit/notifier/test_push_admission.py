"""Who is let in."""

from typing import Any

import pytest

from services.common import tickets
from services.common.settings import SettingsError, load
from services.notifier.admission import Admission, Knock, Refusal
from services.notifier.settings import NotifierSettings

SECRET = "a secret that is long enough for HS256"


def knock(
    origin: str | None = None, host: str = "video.example.com", forwarded: str | None = None, ticket: str | None = None
):
    return Knock(origin=origin, host=host, forwarded_host=forwarded, ticket=ticket)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "video.example.com", True),
        ("https://video.example.com", "video.example.com", True),
        ("https://video.example.com:443", "video.example.com", True),
        ("https://video.example.com", "video.example.com:443", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:8081", "localhost:8080", False),
        ("https://app.example.evil.com", "app.example", False),
        ("https://video.example.com.evil.com", "video.example.com", False),
        ("https://evilvideo.example.com", "video.example.com", False),
        ("https://video.example.com@evil.com", "video.example.com", False),
        ("https://VIDEO.example.com", "video.example.com", True),
        ("null", "video.example.com", False),
        ("", "video.example.com", False),
        ("file://", "", False),
        ("https://video.example.com:99999999", "video.example.com", False),
        ("https://[", "[", False),
    ],
)
def test_pages_of_the_same_host_may_connect_and_no_others(origin: str | None, host: str, allowed: bool):
    verdict = Admission(NotifierSettings()).judge(knock(origin, host), 0)
    assert (verdict == "default") is allowed
    if not allowed:
        assert (verdict.status, verdict.code) == (403, 4403)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://app.example:443", True),
        ("http://localhost:3000", True),
        ("http://app.example", False),
        ("https://app.example.evil.com", False),
        ("https://video.example.com", False),
    ],
)
def test_allowed_origins_are_compared_exactly(monkeypatch: pytest.MonkeyPatch, origin: str | None, allowed: bool):
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://app.example, http://localhost:3000")
    verdict = Admission(load(NotifierSettings)).judge(knock(origin), 0)
    assert (verdict == "default") is allowed


def test_the_front_doors_name_counts_only_if_the_front_door_is_trusted():
    asked = knock("https://public.example", "10.0.0.7:8001", "public.example")
    assert Admission(NotifierSettings()).judge(asked, 0) == "default"
    verdict = Admission(NotifierSettings(trust_forwarded=False)).judge(asked, 0)
    assert isinstance(verdict, Refusal)


def secured(**more: Any):
    return Admission(NotifierSettings(auth="jwt", ticket_secret=SECRET, **more))


def test_a_ticket_says_whose_jobs_are_seen():
    ticket, _ = tickets.issue(SECRET, "acme", 60)
    assert secured().judge(knock(ticket=ticket), 0) == "acme"


@pytest.mark.parametrize(
    "ticket", [None, "", "x", tickets.issue(SECRET, "acme", -5)[0], tickets.issue("other" * 9, "a", 60)[0]]
)
def test_without_a_good_ticket_nobody_is_let_in(ticket: str | None):
    verdict = secured().judge(knock(ticket=ticket), 0)
    assert (verdict.status, verdict.code) == (401, 4401)
    if ticket:
        assert ticket not in repr(verdict)


def test_caps_by_tenant_and_by_process():
    admission = secured(max_connections=3, max_tenant_connections=2)
    acme, other = (tickets.issue(SECRET, tenant, 60)[0] for tenant in ("acme", "other"))
    admission.entered("acme")
    admission.entered("acme")
    verdict = admission.judge(knock(ticket=acme), 0)
    assert (verdict.status, verdict.code) == (503, 1013)
    assert admission.judge(knock(ticket=other), 0) == "other"
    admission.entered("other")
    verdict = admission.judge(knock(ticket=other), 0)
    assert (verdict.status, verdict.code) == (503, None)
    assert verdict.retry_after_s
    admission.left("acme")
    assert admission.judge(knock(ticket=acme), 0) == "acme"


def test_a_storm_of_handshakes_is_slowed_down():
    admission = Admission(NotifierSettings(handshake_rate=10, handshake_burst=20))
    verdicts = [admission.judge(knock(), 100.0) for _ in range(50)]
    assert verdicts.count("default") == 20
    assert verdicts[-1].status == 503
    assert [admission.judge(knock(), 101.0) for _ in range(50)].count("default") == 10


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"NOTIFIER_HOST": "0.0.0.0"}, "ALLOW_ANONYMOUS"),
        ({"AUTH": "jwt"}, "TICKET_SECRET"),
        ({"HEARTBEAT": "0"}, "HEARTBEAT"),
        ({"FLUSH_WINDOW": "soon"}, "FLUSH_WINDOW"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load(NotifierSettings)


def test_settings_reach_the_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLUSH_WINDOW", "50ms")
    monkeypatch.setenv("SLOW_READER_LIMIT", "1MiB")
    hub = load(NotifierSettings).hub
    assert hub.window_s == 0.05
    assert hub.backlog_bytes == 1 << 20
