"""What the store holds, asked for as seldom as will do."""

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import Final

from services.common.storage import ObjectInfo, Storage

_KNOWN_FOR_S: Final = 3.0
_MAX_KNOWN: Final = 2000


class Objects:
    """Looks objects up.  Those who ask for the same one at the same time share the answer, and one that is there
    is believed in for a few seconds; one that is not is asked for again each time.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: OrderedDict[str, tuple[float, ObjectInfo]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[ObjectInfo | None]] = {}

    async def stat(self, key: str) -> ObjectInfo | None:
        """What is known of `key`, None if it is not there; raises StorageError."""
        known = self._known.get(key)
        if known is not None and monotonic() - known[0] < _KNOWN_FOR_S:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
        # Somebody who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Ask anew next time."""
        self._known.pop(key, None)

    async def _ask(self, key: str) -> ObjectInfo | None:
        try:
            info = await self._storage.stat(key)
        finally:
            self._asking.pop(key, None)
        self._known.pop(key, None)
        if info is not None:
            self._known[key] = (monotonic(), info)
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        return info
