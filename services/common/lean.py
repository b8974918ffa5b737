"""Keeps out of a process what its libraries would import and it never uses: megabytes in every service.

Import what is meant inside the body; for whoever comes later nothing is hidden.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let imports of `name`, an optional dependency, fail in the body as if it were not installed."""
    with _instead_of(name, None):
        yield


@contextmanager
def with_stub(name: str, *attributes: str) -> Iterator[None]:
    """Let imports of `name` in the body find a module of only these `attributes`, each None."""
    stub = ModuleType(name)
    for attribute in attributes:
        setattr(stub, attribute, None)
    with _instead_of(name, stub):
        yield


@contextmanager
def _instead_of(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    if name in sys.modules:  # somebody needs it; then it costs nothing more
        yield
        return
    sys.modules[name] = stand_in  # type: ignore[assignment]  # None is how Python itself marks what is not there
    try:
        yield
    finally:
        del sys.modules[name]
