"""CPU and memory of a service and of what it runs, as its metrics tell."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from services.common import metrics, resources

BURN = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\nsys.stdin.read()"


@contextmanager
def grandchild() -> Iterator[None]:
    """A child of a child, that has used 0.3 s of processor time and goes on."""
    wrapper = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {BURN!r}]).returncode)"
    with subprocess.Popen([sys.executable, "-c", wrapper], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdin
        assert child.stdout.readline() == b"burnt\n"
        yield
        child.stdin.close()


def test_descendants_count_while_they_run_and_after():
    before = resources.descendants()
    assert before
    with grandchild():
        during = resources.descendants()
    after = resources.descendants()
    assert during
    assert after
    assert during.cpu_s > before.cpu_s + 0.2  # of the 0.3 it waited for, less what the clock's ticks round off
    assert during.memory_bytes >= before.memory_bytes + (2 << 20)
    assert after.cpu_s >= during.cpu_s, "what they used is not forgotten"
    assert after.memory_bytes < during.memory_bytes


def test_the_service_itself_is_apart():
    own = resources.own()
    assert own
    assert own.cpu_s > 0
    assert own.memory_bytes > 5 << 20


def test_both_are_exposed():
    text = metrics.exposition("")[0].decode()
    assert 'video_process_cpu_seconds_total{of="service"}' in text
    assert 'video_process_resident_memory_bytes{of="children"}' in text
