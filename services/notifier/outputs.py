"""What the hub wants done, in this order, by whoever moves the bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.notifier.connection import Connection
from services.notifier.events import Batch
from services.notifier.frames import Flavour
from services.notifier.protocol import Subscribe
from services.notifier.recovery import StreamReplay


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Write the batch to each connection that keeps up; report the others with `Hub.fell_behind`."""

    batch: Batch
    flavour: Flavour
    connections: Sequence[Connection]


@dataclass(frozen=True, slots=True)
class Write:
    """Write `data` to each connection."""

    data: bytes
    connections: Sequence[Connection]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with this code after what was written before.  It has left the hub already."""

    connection: Connection
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the connection at once: nobody is there.  It has left the hub already."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Fetch:
    """Feed `replay` the stream from its cursor on until `Hub.fetched_enough`, then call `Hub.fetched`."""

    connection: Connection
    ask: Subscribe
    replay: StreamReplay


Output = Broadcast | Write | Close | Drop | Fetch
