"""`python -m bench [--only NAME]`: measure, and print one JSON object a line for each figure."""

import argparse
import inspect
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, Final

import orjson
import uvloop

from services.common import logs

Figures = list[dict[str, Any]]
Measure = Callable[[], Figures | Coroutine[Any, Any, Figures]]

KEYS: Final = ("bench", "unit", "ours", "peer", "peer_value", "ratio", "goal", "holds")

# Name, module and function.  Each gives figures of the keys bench, unit, ours, peer, peer_value, ratio, goal, holds.
BENCHES: Final[dict[str, tuple[str, str]]] = {
    "ingest": ("bench.ingest", "figures"),
    "get": ("bench.get", "figures"),
    "table": ("bench.table", "figures"),
    "fanout": ("bench.fanout", "figures"),
    "latency": ("bench.latency", "figures"),
    "connections": ("bench.connections", "figures"),
    "clips": ("bench.convert.figures", "clips"),
    "overhead": ("bench.convert.figures", "overhead"),
    "copy": ("bench.convert.figures", "copy"),
    "tuning": ("bench.convert.tuning", "tuning"),
}
# Measured only when named: it compares settings, not us with others.
ON_REQUEST: Final = frozenset({"tuning"})
_DEFAULT: Final = [name for name in BENCHES if name not in ON_REQUEST]


def _line(figure: dict[str, Any]) -> str:
    """A figure as the one JSON object that programs read."""
    return orjson.dumps({key: figure[key] for key in KEYS}).decode()


def _names(argument: str) -> list[str]:
    names = [name.strip() for name in argument.split(",")]
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(BENCHES)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=_DEFAULT, metavar="NAME[,NAME]", help=", ".join(BENCHES))
    arguments = parser.parse_args()
    logs.configure("bench", level="error")  # to stderr: what is printed is figures alone
    for name in arguments.only:
        module, function = BENCHES[name]
        measure: Measure = getattr(import_module(module), function)
        measured = measure()
        for figure in uvloop.run(measured) if inspect.iscoroutine(measured) else measured:
            print(_line(figure), flush=True)


if __name__ == "__main__":
    main()
