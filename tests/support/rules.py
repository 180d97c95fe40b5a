"""Wrong gradient rules, for the time of a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from graftcam.exporter.differentiate import registry


def louder(monkeypatch: pytest.MonkeyPatch, op_type: str, of: str | None = None) -> None:
    """Make an operator's rule give a cotangent of its first input that is a hundredth too large.

    ``of`` names the operator whose rule is changed, by default its own.
    """
    rule: Any = registry.table()[of or op_type].rule

    def wrong(*arguments: Any) -> Any:
        (result, *_) = rule(*arguments)
        return [result * 1.01]

    broken = replace(registry.table()[op_type], rule=wrong)
    monkeypatch.setitem(registry._TABLE, op_type, broken)
