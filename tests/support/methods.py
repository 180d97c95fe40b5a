"""Methods that tests add to the table, and what methods feed an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graftcam.runtime import Explainer
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


def watch_runs(monkeypatch: pytest.MonkeyPatch, explainer: Explainer) -> list[dict[str, Any]]:
    """What the artifact is fed from now on, run by run."""
    seen: list[dict[str, Any]] = []
    run = explainer._session.run

    def watched(feeds: dict[str, Any], names: Any = None) -> Any:
        seen.append(dict(feeds))
        return run(feeds, names)

    monkeypatch.setattr(explainer._session, "run", watched)
    return seen
