"""An argument that is a model knows what else people give, and refuses it in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..runtime.errors import InputError
from ..runtime.inputs.no_model import why_no_model


class ModelFile(click.Path):
    """The file of a model, which is read as it is.

    Attributes:
        forms: What the command takes, for the message.
    """

    def __init__(self, forms: str = "an artifact of `graftcam export`") -> None:
        super().__init__(path_type=Path)
        self.forms = forms

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path.

        Raises:
            InputError: See `refuse_no_model`.
        """
        refuse_no_model(str(value), self.forms)
        return super().convert(value, param, ctx)


def refuse_no_model(text: str, forms: str) -> None:
    """Refuse what is clearly no model: a folder, an image, an address or an empty file.

    Args:
        text: The argument.
        forms: What the command takes.

    Raises:
        InputError: It is one of them.
    """
    reason = why_no_model(text)
    if reason is not None:
        raise InputError(f"{text} {reason}; give {forms}{usage()}")


def usage() -> str:
    """Return how the command is called, as the end of a message; nothing outside of a command."""
    context = click.get_current_context(silent=True)
    if context is None:
        return ""
    pieces = context.command.collect_usage_pieces(context)
    return ": " + " ".join(["graftcam", str(context.info_name), *pieces])
