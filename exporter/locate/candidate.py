"""A `Candidate` is a layer that could be explained, with the reason why or why not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A layer that could be explained.

    Attributes:
        name: Module path, or value name for an ONNX file.
        kind: Class of the module, or operator of the node.
        shape: Shape of its output for the example input.
        usable: Whether the automatic choice may take it.
        reason: Why, or why not.
    """

    name: str
    kind: str
    shape: tuple[int | str | None, ...]
    usable: bool
    reason: str
