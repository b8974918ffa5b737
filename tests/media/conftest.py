"""A converter of this machine for all media tests; no broker, no store.

studio       converts clips as the transcoder does, and shows what came out
clip         the clips of `clips.py` by name, made once a session
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.media.clips import make_clip
from tests.media.studio import Studio, open_studio
from tests.media_files import MediaFiles

Clip = Callable[[str], Path]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    yield await open_studio(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="session")
def clip(media: MediaFiles) -> Clip:
    return lambda name: make_clip(media, name)
