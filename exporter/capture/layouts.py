"""This module settles the layouts of target layers, by showing where their places stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from ..errors import LayerError
from ..graph.emitter import dims_of
from ..locate.arrangement import Arrangement
from ..locate.candidate import Candidate
from ..locate.graph_places import find_places
from ..locate.instances import bags_of
from ..locate.layer import find_layer
from ..locate.layer_rules import misplaced
from ..locate.layout import read_target
from ..locate.places import Array, Finding
from .onnx_file import Captured

_AT_ONCE = 6  # candidates whose places one session shows
_MOST_SHOWN = 120  # candidates whose places are shown in all


def settle_layouts(captured: Captured) -> None:
    """Settle the layout of every target layer that has none yet, and note what is in doubt.

    Raises:
        LayerError: A layer has no usable layout, or its places are not those of the input.
    """
    open_ones = {n: v for n, v in captured.targets.items() if n not in captured.arranged}
    options = _certain(captured, open_ones)
    findings = _find(captured, {open_ones[name]: one for name, one in options.items()})
    for name, layouts in options.items():
        finding = findings.get(open_ones[name])
        if finding is not None and finding.verdict == "refuted":
            shape = " x ".join(map(str, dims_of(open_ones[name])))
            raise LayerError(
                f"layer {name!r} [{shape}]: {misplaced(finding.agreement)}; choose a layer after "
                "its places are put in order, before they are mixed or sorted, or an earlier one"
            )
        captured.arranged[name] = layouts[0] if finding is None else finding.turned
        captured.notes.extend(_doubts(name, finding))


def _doubts(name: str, finding: Finding | None) -> list[str]:
    """What a user should know of a layer's places."""
    if finding is None:
        return [f"layer {name!r}: nothing shows whether its places are those of the input"]
    notes: list[str] = []
    if finding.verdict == "doubtful":
        notes.append(
            f"layer {name!r}: its places follow the input's only weakly "
            f"(agreement {finding.agreement:.2f})"
        )
    if finding.turned.input_axes:
        along = ", ".join(map(str, finding.axes))
        notes.append(f"layer {name!r}: the axes of its map run along axes {along} of the input")
    return notes


def choose_shown(captured: Captured, candidates: list[Candidate]) -> list[Candidate]:
    """Refute usable candidates whose places are none of the input's, until one is not; it is first.

    Convolutions are shown as well: a detector's may work on boxes times anchors.
    """
    graph, found, sure = captured.model.graph, list(candidates), set[str]()
    # Behind the last ones, `settle_layouts` refuses the choice if it must.
    usable = [one.name for one in candidates if one.usable][:_MOST_SHOWN]
    for start in range(0, len(usable), _AT_ONCE):
        chunk = {name: find_layer(graph, name) for name in usable[start : start + _AT_ONCE]}
        readings = {
            value: read_target(name, value, graph)
            for name, value in chunk.items()
            if bags_of(value) is None
        }
        findings = _find(captured, {value: one.options for value, one in readings.items()})
        for name, value in chunk.items():
            finding = findings.get(value)
            certain = value not in readings or readings[value].certain
            if finding is None or not (
                finding.is_everywhere if certain else finding.verdict == "refuted"
            ):
                return sorted(found, key=lambda one: (not one.usable, one.name != name))
            if certain:
                sure.add(name)
            place = next(i for i, one in enumerate(found) if one.name == name)
            reason = misplaced(finding.agreement)
            found[place] = replace(found[place], usable=False, reason=reason)
    # A convolution keeps its places; where all see the whole input, it is still the best there is.
    both = zip(candidates, found, strict=True)
    left = [one if one.name in sure else other for one, other in both]
    return sorted(left, key=lambda one: not one.usable)


def _certain(
    captured: Captured, values: Mapping[str, ir.Value]
) -> dict[str, tuple[Arrangement, ...]]:
    """Settle the layouts that are beyond doubt; return the options of the others."""
    options: dict[str, tuple[Arrangement, ...]] = {}
    for name, value in values.items():
        if bags_of(value) is not None:
            continue  # the graph shows the order of its instances, and each is an image
        reading = read_target(name, value, captured.model.graph)
        if reading.certain:
            captured.arranged[name] = reading.options[0]
        else:
            options[name] = reading.options
    return options


def _find(
    captured: Captured, options: Mapping[ir.Value, Sequence[Arrangement]]
) -> dict[ir.Value, Finding]:
    if not options:
        return {}
    return find_places(captured.model, options, _examples(captured), captured.folder)


def _examples(captured: Captured) -> dict[str, Array]:
    """The example inputs of a module by the graph's names: integers, whose range they show."""
    if captured.inputs is None:
        return {}
    tensors = captured.inputs.tensors
    inputs = [one for one in captured.model.graph.inputs if one.name]
    if len(tensors) != len(inputs):
        return {}
    shapes = [dims_of(value) for value in inputs]
    rows = [shape[0] if shape and isinstance(shape[0], int) else 1 for shape in shapes]
    return {
        value.name or "": tensor.detach()[:count].cpu().numpy()
        for value, tensor, count in zip(inputs, tensors, rows, strict=True)
        if not tensor.is_floating_point() and tensor.dim() and tensor.shape[0] >= count
    }
