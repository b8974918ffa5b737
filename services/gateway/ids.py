"""Names for jobs."""

import os
from time import time_ns
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM = (0xFFF << 64) | ((1 << 62) - 1)


def new_job_id() -> str:
    """A UUID of version 7: the time in milliseconds, then 74 random bits.

    New ones are neighbours in the index of all jobs.  Purely random ones would have every new row change a page of
    its own, the more of them the larger the table is, and each is written to the log at the commit.
    """
    milliseconds = time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & ((1 << 76) - 1)
    return str(UUID(int=(milliseconds & ((1 << 48) - 1)) << 80 | _VERSION | _VARIANT | (random & _RANDOM)))
