"""Who gets what: connections that watch the same jobs form a group, and share its bytes.

A connection is in one group at a time, whatever it is subscribed to, so what it gets is in the stream's order and
the cursor it saw last is good for all of its subscriptions.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from services.notifier.connection import Connection
from services.notifier.events import Event
from services.notifier.frames import Flavour
from services.notifier.protocol import ALL_JOBS

# Job id, or "*", to whether only the end of the job is wanted.
Interests = Mapping[str, bool]
_Key = tuple[str, frozenset[tuple[str, bool]]]


def wants(interests: Interests, event: Event) -> bool:
    """True if somebody with these `interests` is to get `event`, which is of their tenant."""
    for target in (event.job_id, ALL_JOBS):
        only_terminal = interests.get(target)
        if only_terminal is False or (only_terminal and event.terminal):
            return True
    return False


class Group:
    """Connections of one tenant with the same interests, and the events gathered for them in this window."""

    __slots__ = ("batch", "batch_bytes", "interests", "key", "members", "slow", "tenant")

    def __init__(self, key: _Key) -> None:
        self.key: Final = key
        self.tenant = key[0]
        self.interests: Interests = dict(key[1])
        self.members: dict[Flavour, set[Connection]] = {}
        self.slow: set[Connection] = set()
        self.batch: list[Event] = []
        self.batch_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.slow) or any(self.members.values())

    def add(self, connection: Connection) -> None:
        """Take `connection` in, which keeps its backlog if it has one."""
        connection.group = self
        if connection.backlog is None:
            self.members.setdefault(connection.flavour, set()).add(connection)
        else:
            self.slow.add(connection)

    def remove(self, connection: Connection) -> None:
        """Let `connection` go."""
        connection.group = None
        self.slow.discard(connection)
        self.members.get(connection.flavour, set()).discard(connection)

    def gather(self, event: Event) -> None:
        """Keep `event` for the end of the window."""
        self.batch.append(event)
        self.batch_bytes += len(event.frame)

    def take_batch(self) -> list[Event]:
        """The events gathered, which are then gone from here."""
        batch, self.batch, self.batch_bytes = self.batch, [], 0
        return batch


class Groups:
    """All groups, found by an event's tenant and job."""

    def __init__(self) -> None:
        self._groups: dict[_Key, Group] = {}
        self._of_all: dict[str, set[Group]] = {}
        self._of_job: dict[tuple[str, str], set[Group]] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def place(self, tenant: str, interests: Interests) -> Group:
        """The group for these interests, made if need be."""
        key = (tenant, frozenset(interests.items()))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
            for target in interests:
                if target == ALL_JOBS:
                    self._of_all.setdefault(tenant, set()).add(group)
                else:
                    self._of_job.setdefault((tenant, target), set()).add(group)
        return group

    def release(self, group: Group) -> None:
        """Forget `group` if nobody is in it."""
        if group or self._groups.get(group.key) is not group:
            return
        del self._groups[group.key]
        for target in group.interests:
            if target == ALL_JOBS:
                _discard(self._of_all, group.tenant, group)
            else:
                _discard(self._of_job, (group.tenant, target), group)

    def interested(self, event: Event) -> Iterator[Group]:
        """Each group that is to get `event`, once."""
        for group in self._of_all.get(event.tenant, ()):
            if wants(group.interests, event):
                yield group
        for group in self._of_job.get((event.tenant, event.job_id), ()):
            if ALL_JOBS not in group.interests and wants(group.interests, event):
                yield group


def _discard(index: dict, key: object, group: Group) -> None:  # type: ignore[type-arg]
    groups = index[key]
    groups.discard(group)
    if not groups:
        del index[key]
