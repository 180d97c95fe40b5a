"""A `Candidate` is a layer that could be explained, with the reason why or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


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


def shared(outputs: Sequence[str | None], found: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """Return the layers that can explain all of several outputs, the automatic choice first.

    Args:
        outputs: Names of the outputs.
        found: For each output all layers of the model, the automatic choice first.
    """
    if len(found) == 1:
        return list(found[0])
    faults: dict[str, dict[str | None, str]] = {}
    for output, layers in zip(outputs, found, strict=True):
        for one in layers:
            if not one.usable:
                faults.setdefault(one.name, {})[output] = one.reason
    merged: list[Candidate] = []
    for one in found[0]:
        output, reason = next(iter(faults.get(one.name, {}).items()), (None, one.reason))
        partly = 0 < len(faults.get(one.name, {})) < len(found)
        reason = f"{reason} (output {output})" if partly else reason
        merged.append(replace(one, usable=one.name not in faults, reason=reason))
    return sorted(merged, key=lambda one: not one.usable)
