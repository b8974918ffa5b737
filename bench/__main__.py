"""`python -m bench [--only NAME] [--json FILE]`: measure, and print a table."""

import argparse
import inspect
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

Figures = list[dict[str, Any]]
Measure = Callable[[], Figures | Coroutine[Any, Any, Figures]]

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
}


def _line(figure: dict[str, Any]) -> str:
    verdict = "holds" if figure["holds"] else "FAILS"
    return (
        f"{figure['bench']:<12} {figure['unit']:<60} {figure['ours']:>10} {figure['peer_value']:>10}"
        f" {figure['ratio']:>8}  {figure['goal']:<14} {verdict}   beside {figure['peer']}"
    )


def _names(argument: str) -> list[str]:
    names = [name.strip() for name in argument.split(",")]
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(BENCHES)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(BENCHES), metavar="NAME[,NAME]", help=", ".join(BENCHES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    found: Figures = []
    for name in arguments.only:
        module, function = BENCHES[name]
        measure: Measure = getattr(import_module(module), function)
        measured = measure()
        for figure in uvloop.run(measured) if inspect.iscoroutine(measured) else measured:
            print(_line(figure), flush=True)
            found.append(figure)
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if not all(figure["holds"] for figure in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
