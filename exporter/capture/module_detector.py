"""`capture_detector` captures a PyTorch detector: its layers are found in its graph.

A classifier's layer is chosen before its capture. A detector's layers follow from its graph, which
is exported twice: once to recognise it and to find the levels, and again with a hook at the module
of each level, so that layers have a module's name and can be verified in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ...runtime.settings import TorchExport
from ..errors import CaptureError, ScoreError
from ..locate.detectors.detection import LevelFound
from ..locate.score import Located
from ..source.settings import ExportSettings
from ..source.torch_module import module_of
from .detectors import choose_levels, locate_detector, may_be_detector
from .onnx_file import Captured

if TYPE_CHECKING:
    import torch

    from ..source.torch_inputs import ModuleInputs
    from .model import Model
    from .programs import Programs


@dataclass(frozen=True)
class ModuleDetector:
    """A PyTorch module that returns boxes.

    Attributes:
        captured: Its graph, without target layers.
        located: Its scores and boxes.
        levels: Its target layers in that graph.
        layers: The modules that return them; empty if one has none.
        capture: Captures the module again, with target layers of these names.
    """

    captured: Captured
    located: Located
    levels: Sequence[LevelFound]
    layers: Sequence[str]
    capture: Callable[[Sequence[str]], Captured]


def capture_detector(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
    progress: Callable[[str], None],
    programs: Programs | None = None,
) -> Captured | None:
    """Capture a module that returns boxes; None for files, and for other modules.

    For ``programs`` see `capture_module`.

    Raises:
        CaptureError: It cannot be captured.
        ScoreError: It is a detector, but of no known format, or it suppresses boxes inside.
    """
    if isinstance(model, (str, Path)) or settings.shapes:
        return None
    capture = _capture_of(model, example_inputs, settings, programs)
    if capture is None:
        return None
    if settings.layers:
        progress("capture")
        return capture(settings.layers)
    found = _located_module(capture, settings, progress)
    if found is None:
        return None
    if not found.layers:
        return replace(found.captured, levels=list(found.levels))
    progress("capture")
    second = found.capture(found.layers)
    levels = [
        replace(level, value=second.targets[name])
        for level, name in zip(found.levels, found.layers, strict=True)
    ]
    return replace(second, levels=levels)


def locate_module_detector(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
) -> ModuleDetector | None:
    """Recognise a module that returns boxes, and choose its layers; None for other modules.

    Raises:
        CaptureError: It cannot be captured.
        ScoreError: It is a detector, but of no known format, or it suppresses boxes inside.
    """
    capture = _capture_of(model, example_inputs, settings)
    return None if capture is None else _located_module(capture, settings, lambda _: None)


def _capture_of(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
    programs: Programs | None = None,
) -> Callable[[Sequence[str]], Captured] | None:
    """A function that captures a module with target layers; None for modules without boxes."""
    if not may_be_detector(settings):
        return None
    module, inputs = module_of(model, example_inputs)
    trace = settings.trace or TorchExport()
    if settings.detector == "before_nms":
        module = _before_nms(module, inputs, trace)
    elif not _returns_boxes(module, inputs):
        return None
    from ..source.torch_detectors import module_facts
    from .torch_export import capture_module

    def captured_with(layers: Sequence[str]) -> Captured:
        found = capture_module(module, inputs, layers, trace, programs)
        found.model.metadata_props.update(module_facts(module))
        return found

    return captured_with


def _located_module(
    capture: Callable[[Sequence[str]], Captured],
    settings: ExportSettings,
    progress: Callable[[str], None],
) -> ModuleDetector | None:
    """Export a module, and find its levels in its graph."""
    progress("capture")
    first = capture([])
    located = locate_detector(first, settings)
    if located is None:
        return None
    progress("locate")
    levels = choose_levels(first, located, context=settings.context)
    return ModuleDetector(first, located, levels, _layer_names(first, levels), capture)


def _before_nms(
    module: torch.nn.Module, inputs: ModuleInputs, trace: TorchExport
) -> torch.nn.Module:
    """The module without its suppression of boxes.

    Raises:
        CaptureError: It is no such module, or its inputs are no images of one size.
    """
    from ..source.before_nms import BeforeNms
    from ..source.own_copy import own_copy

    image = inputs.image
    if len(inputs.tensors) != 1 or image is None or image.dim() != 4:
        raise CaptureError(
            f"detector='before_nms' takes images [N, 3, height, width] of one size, not "
            f"({inputs}); give example_inputs such as (torch.rand(1, 3, 480, 640),)"
        )
    if trace.dynamic_size:
        raise CaptureError(
            "detector='before_nms' makes the anchors of one image size; leave dynamic_size "
            "(--dynamic-size) out"
        )
    return BeforeNms(own_copy(module), image).eval()


def _returns_boxes(module: torch.nn.Module, inputs: ModuleInputs) -> bool:
    """Whether a forward pass returns what a detector does.

    Raises:
        ScoreError: It returns boxes that are left of a suppression inside.
    """
    import torch

    from ..source.own_copy import own_copy
    from ..source.torch_detectors import is_suppressed, looks_like_detector

    with torch.no_grad():
        try:
            result = inputs.call(own_copy(module))
        except Exception:
            return False  # the capture says why, in its own words
    if is_suppressed(result):
        raise ScoreError(
            f"{type(module).__name__} returns the boxes that its suppression of overlapping boxes "
            "leaves, which has no gradient; give detector='before_nms' (--detector before_nms) to "
            "explain all boxes before it"
        )
    return looks_like_detector(result, inputs)


def _layer_names(captured: Captured, levels: Sequence[LevelFound]) -> list[str]:
    """The modules whose outputs the levels are; empty, with a note, if one has none."""
    from .module_names import modules_of

    assert captured.module is not None
    assert captured.inputs is not None
    values = [level.value for level in levels]
    names = modules_of(captured.model, values, captured.module, captured.inputs)
    known = [name for name in names if name is not None]
    if len(set(known)) == len(levels):
        return known
    lost = ", ".join(_shown(value) for value, name in zip(values, names, strict=True) if not name)
    captured.notes.append(
        f"no module returns {lost or 'each level by itself'}: the layers go by the names of the "
        "graph's values, and are not compared with PyTorch"
    )
    return []


def _shown(value: ir.Value) -> str:
    return f"{value.name!r}"
