"""Methods that tests add to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graftcam.runtime.methods.method import Method, Need
from graftcam.runtime.methods.table import METHODS


def add_method(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    function: Callable[..., Any],
    needs: tuple[Need, ...] = ("activations", "gradients"),
    *,
    signed: bool = False,
) -> None:
    """Add a method for the time of a test."""
    monkeypatch.setitem(METHODS, name, Method(function, needs, "a test", signed))
