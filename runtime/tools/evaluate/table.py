"""A `ScoreRow` is a photograph's line in the table of scores."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class ScoreRow(TypedDict):
    """One photograph.

    Attributes:
        path: Path relative to the folder, with ``/``.
        status: ``ok`` or ``failed``.
        error: Why it failed, and the remedy; None if it did not.
        width: Width of the upright image in pixels; None if it failed or is no image.
        height: Its height, likewise.
        items: A record for each class that was scored: ``class``, ``label``, ``confidence``,
            ``probability``, and ``maps``, a record for each candidate: ``method``, ``layer`` (None
            of the rows to beat), ``status`` of the map, ``scores`` by measure, ``curves``.
    """

    path: str
    status: Literal["ok", "failed"]
    error: str | None
    width: int | None
    height: int | None
    items: list[dict[str, Any]]
