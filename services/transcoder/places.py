"""Places, of which there are so many, for those who want one for a while."""

import asyncio


class Place:
    """One of `places`, already taken; freed once, by whoever is first."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places

    def free(self) -> None:
        """Let the next one have it."""
        if self._places is not None:
            self._places.release()
            self._places = None
