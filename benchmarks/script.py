"""What all scripts share: their options, what they print, and tables in Markdown."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def options(text: str | None, *files: str, **defaults: tuple[Any, str]) -> Namespace:
    """Read the command line.

    Args:
        text: What the script does.
        files: Names of arguments that are files.
        defaults: By option: its default, whose type the option's values have, and its help. A
            list takes several values, False makes a flag.
    """
    parser = ArgumentParser(description=text)
    for name in files:
        parser.add_argument(name, type=Path)
    for name, (default, words) in defaults.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true", help=words)
        else:
            several = isinstance(default, list)
            kind: Any = type(default[0] if several else default)
            nargs = "+" if several else None
            parser.add_argument(f"--{name}", type=kind, nargs=nargs, default=default, help=words)
    return parser.parse_args()


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: Path, data: Any) -> None:
    """Write a results file."""
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def shown(spread: Sequence[float], digits: int = 3, unit: float = 1) -> str:
    """Return a figure's median and quartiles as text."""
    low, median, high = (f"{value / unit:.{digits}f}" for value in spread)
    return f"{median} ({low} to {high})"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    head = "".join(f" {text} |" if text else " |" for text in heads)
    cells = [f"| {' | '.join(row)} |" for row in rows]
    return [f"|{head}", "|---" * len(heads) + "|", *cells]
