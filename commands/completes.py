"""`completes` says what a shell offers for a parameter; a TAB alone imports what finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VARIABLE = "_GRAFTCAM_COMPLETE"
"""The variable with which a shell asks for completions."""

Offer = Callable[[Any, Any, str], list[Any]]


def completes(kind: str) -> Offer:
    """Return what click asks for a parameter's values.

    Args:
        kind: A key of `completing.FINDERS`.
    """

    def offer(context: Any, _parameter: Any, incomplete: str) -> list[Any]:
        from .completing import offers

        return offers(kind, context, incomplete)

    return offer
