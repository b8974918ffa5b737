"""Event numbers of a job that several writers hand out without asking each other.

The gateway and, one after the other, several transcoders number the events of one job.  A writer that takes
over cannot know the last number its predecessor used, but it knows when the predecessor could have begun and
that nobody emits more than `MAX_EVENTS_PER_SECOND`; so it leaves that many numbers free.  Where it does not even
know that, because a foreign program wrote the message, it leaves `MAX_EVENTS_PER_DELIVERY` for each predecessor.
"""

from datetime import datetime
from math import ceil

MAX_EVENTS_PER_SECOND = 10
MAX_EVENTS_PER_DELIVERY = 100_000


def seq_after(seq: int, since: datetime | None, now: datetime) -> int:
    """A number above every one that another writer can have used since it took over at `seq`.

    Args:
        seq: the last number known.
        since: when that number was given; None if nobody can have written after it.
        now: the present.
    """
    if since is None:
        return seq + 1
    elapsed = max(0.0, (now - since).total_seconds())
    return seq + 1 + ceil(elapsed * MAX_EVENTS_PER_SECOND)
