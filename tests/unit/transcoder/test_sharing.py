"""Encodes that fill the machine keep to processors of their own; one that is alone has them all."""

import asyncio
import os
import subprocess
from collections.abc import Collection
from contextlib import ExitStack

import pytest

from services.transcoder import processors, sharing
from services.transcoder.sharing import Sharing, confine, shares


@pytest.mark.parametrize(
    ("bound", "places", "expected"),
    [
        (range(2), 2, [{0}, {1}]),
        (range(8), 4, [{0, 1}, {2, 3}, {4, 5}, {6, 7}]),
        ([1, 3, 8, 9], 2, [{1, 3}, {8, 9}]),
        (range(8), 3, []),
        (range(2), 4, []),
        (range(4), 1, []),
    ],
)
def test_shares_are_equal_or_none(
    monkeypatch: pytest.MonkeyPatch, bound: Collection[int], places: int, expected: list[set[int]]
):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(bound), raising=False)
    monkeypatch.setattr(processors, "available", lambda: len(bound))
    assert list(shares(places)) == expected


def test_under_a_quota_there_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processors, "available", lambda: 2)
    assert shares(2) == ()


def test_where_processes_cannot_be_bound_there_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert shares(2) == ()


class Machine:
    """Where each process group was last told to run, in place of the kernel."""

    def __init__(self, *shares: Collection[int], pause_s: float = 0.0) -> None:
        self.at: dict[int, set[int]] = {}
        self.changed = asyncio.Event()
        self.sharing = Sharing(shares, confine=self._confine, pause_s=pause_s)

    def _confine(self, group: int, to: Collection[int]) -> None:
        self.at[group] = set(to)
        self.changed.set()


async def test_one_that_is_alone_runs_everywhere():
    machine = Machine({0}, {1})
    with machine.sharing.encode() as encode:
        encode.began(10)
    assert machine.at == {}


async def test_when_every_place_is_taken_each_has_its_own():
    machine = Machine({0, 1}, {2, 3}, pause_s=60)
    with machine.sharing.encode() as one, machine.sharing.encode() as other:
        one.began(10)
        other.began(11)
        assert machine.at == {10: {0, 1}, 11: {2, 3}}


async def test_the_next_one_takes_the_share_that_came_free():
    machine = Machine({0}, {1}, pause_s=60)
    with ExitStack() as stack:
        first, second, third, fourth = (stack.enter_context(machine.sharing.encode()) for _ in range(4))
        first.began(10)
        second.began(11)
        first.over()
        third.began(12)
        second.over()
        fourth.began(13)
        assert machine.at == {10: {0}, 11: {1}, 12: {0}, 13: {1}}


async def test_those_that_are_left_spread_after_a_while():
    machine = Machine({0}, {1})
    with machine.sharing.encode() as stays:
        with machine.sharing.encode() as goes:
            stays.began(10)
            goes.began(11)
        machine.changed.clear()
        async with asyncio.timeout(10):
            await machine.changed.wait()
        assert machine.at == {10: {0, 1}, 11: {1}}

        with machine.sharing.encode() as comes:
            comes.began(12)
            assert machine.at == {10: {0}, 11: {1}, 12: {1}}


async def test_one_that_follows_at_once_keeps_the_others_where_they_are():
    machine = Machine({0}, {1}, pause_s=0.01)
    with ExitStack() as stack:
        stays, goes, comes = (stack.enter_context(machine.sharing.encode()) for _ in range(3))
        stays.began(10)
        goes.began(11)
        goes.over()
        comes.began(12)
        machine.changed.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await machine.changed.wait()
        assert machine.at == {10: {0}, 11: {1}, 12: {1}}


async def test_without_shares_nobody_is_told_anything():
    machine = Machine()
    with machine.sharing.encode() as one, machine.sharing.encode() as other:
        one.began(10)
        other.began(11)
    assert machine.at == {}


async def test_what_never_began_is_not_counted():
    machine = Machine({0}, {1})
    with machine.sharing.encode(), machine.sharing.encode() as one:
        one.began(10)
    assert machine.at == {}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_whole_process_group_is_bound():
    everywhere = os.sched_getaffinity(0)
    script = "sleep 600 & (sleep 600 & echo ready; wait) & wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as program:
        try:
            assert program.stdout is not None
            program.stdout.readline()
            group = sharing._threads(program.pid)
            confine(program.pid, {min(everywhere)})
            assert len(group) >= 4
            assert all(os.sched_getaffinity(thread) == {min(everywhere)} for thread in group)
            confine(program.pid, everywhere)
            assert all(os.sched_getaffinity(thread) == everywhere for thread in group)
        finally:
            os.killpg(program.pid, 9)
    assert os.sched_getaffinity(0) == everywhere


def test_a_group_that_is_gone_is_no_error():
    with subprocess.Popen(["true"], start_new_session=True) as program:
        pass
    confine(program.pid, {0})
