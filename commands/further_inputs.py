"""`input_option` gives the model's inputs beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click import option

from .sections import INPUTS, under


class InputValue(click.ParamType):
    """``name=value``, the value a file or comma-separated numbers."""

    name = "NAME=FILE|N,N,..."
    reads = True  # a value may be a file

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return name and value, numbers or a path, or fail as a usage error."""
        if not isinstance(value, str):
            return value
        key, _, text = value.partition("=")
        if not key or not text:
            self.fail(f"{value!r} is not of the form name=file or name=1,2,3", param, ctx)
        try:
            numbers: Any = [_number(part) for part in text.split(",")]
        except ValueError:
            return key, text
        return key, numbers if "," in text else numbers[0]


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _once_each(
    _context: click.Context, _option: click.Parameter, given: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """Return values by name; a name that is given twice is an error."""
    values = dict(given)
    twice = [name for name in values if [name for name, _ in given].count(name) > 1]
    if twice:
        raise click.BadParameter(f"{twice[0]} is given twice")
    return values


input_option = under(INPUTS, option(
    "--input", "inputs", multiple=True, type=InputValue(), callback=_once_each,
    help="Value of a further input of the model, by its name: a file (.npy, .npz:ENTRY, .wav, "
         ".nii.gz, or an image for an input like the first), or numbers; repeatable.",
))  # fmt: skip
