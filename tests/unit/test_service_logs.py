"""What is shown of the services' logs below a failure."""

import json
from pathlib import Path

from tests.service_logs import LAST, TROUBLES, excerpt, sections


def test_a_short_log_is_shown_whole() -> None:
    assert excerpt("one\ntwo\n") == "one\ntwo"


def test_earlier_troubles_stand_before_the_last_lines() -> None:
    quiet = [json.dumps({"event": f"quiet {number}", "level": "info"}) for number in range(500)]
    loud = [json.dumps({"event": f"loud {number}", "level": "error"}) for number in range(TROUBLES + 5)]
    shown = excerpt("\n".join([*loud, *quiet])).splitlines()
    assert shown[:TROUBLES] == loud[5:]
    assert shown[TROUBLES] == f"… {5 + 500 - LAST} more lines …"
    assert shown[TROUBLES + 1 :] == quiet[-LAST:]


def test_a_traceback_is_unfolded() -> None:
    line = json.dumps({"event": "request_failed", "level": "error", "exception": "Traceback\n  File\nKeyError: 'x'"})
    assert excerpt(line).splitlines() == [
        '{"event": "request_failed", "level": "error"}',
        "    Traceback",
        "      File",
        "    KeyError: 'x'",
    ]


def test_what_was_not_written_to_in_the_meantime_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "site" / "logs" / "gateway.log"
    log.parent.mkdir(parents=True)
    log.write_text("a line\n")
    written = log.stat().st_mtime
    assert list(sections([log], since=written)) == [("gateway.log of site", "a line")]
    assert list(sections([log], since=written + 1)) == []
