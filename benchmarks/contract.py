"""`check_contract` checks an artifact's shapes, classes, batches and the model's own outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from graftcam.exporter.capture.dynamic_axes import open_axes
from graftcam.exporter.source.torch_inputs import ModuleInputs
from graftcam.exporter.verify import SLACK, Check, relative_errors

from .session import open_session
from .truth import MIXED, Array, Artifact, random_images

# Which axes are open: the batch; none, for a batch of one; the batch and the image's size.
Axes = Literal["batch", "none", "size"]
# The same numbers by another way (another batch, another K): rounding alone, which a few models
# amplify, PyTorch's own as well.
REPEAT_BOUND = 1e-5
# Two float32 runs, each up to 1e-5 off: a trace with recorded layers may be fused differently.
PLAIN_BOUND = 2e-5
_SEED = 7


def check_contract(artifact: Artifact, found: Sequence[Check]) -> list[str]:
    """Check shapes and meanings for several N and K.

    Args:
        artifact: What to check.
        found: Its comparisons with PyTorch, for how far rounding moves each output.
    """
    faults: list[str] = []
    spec = artifact.report.spec
    batch = random_images(artifact.shape, 3, _SEED).numpy()
    for count in (1, 3) if artifact.batch is None else (3,):
        for classes in (0, 1, len(MIXED)):
            index = np.array(MIXED[:classes], np.int64)[None]
            results = artifact.run(batch[:count], index)
            faults += _wrong_shapes(artifact, results, count, classes)
    bounds = {
        c.name: max(REPEAT_BOUND, SLACK * float(max(c.own.max(), c.errors.max())))
        for c in found
        # Maps without any error vanish: the rounding errors that remain of them differ.
        if c.errors.any() or c.own.any()
    }

    def same(what: str, actual: dict[str, Array], expected: dict[str, Array]) -> None:
        if not np.array_equal(actual[spec.classes], expected[spec.classes]):
            faults.append(f"{what}: other classes")
        faults.extend(f"{what}: {fault}" for fault in _differing(actual, expected, bounds))

    shared = artifact.run(batch, [MIXED])
    same("default class_index", artifact.run(batch), artifact.run(batch, [[-1]]))
    same("[N, K] of equal rows", artifact.run(batch, [MIXED] * 3), shared)
    one_by_one = [artifact.run(batch, [[one]]) for one in MIXED]
    classless = set(artifact.outputs) | {layer.activations for layer in spec.layers}
    joined = {name: one_by_one[0][name] for name in classless}
    for name in shared.keys() - classless:
        joined[name] = np.concatenate([results[name] for results in one_by_one], axis=1)
    same("several classes against one by one", shared, joined)
    if artifact.batch is not None:
        return faults
    rolled = np.stack([np.roll(MIXED, shift) for shift in range(3)])
    own = artifact.run(batch, rolled)
    alone = artifact.run(batch[1:2], rolled[1:2])
    same("an image alone", {k: v[1:2] for k, v in own.items()}, alone)
    return faults


def _wrong_shapes(
    artifact: Artifact, results: dict[str, Array], images: int, classes: int
) -> list[str]:
    """Outputs whose shape is not that of the contract."""
    spec = artifact.report.spec
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        (spec.classes, spec.scores), (images, classes)
    )
    for layer in spec.layers:
        grid, channels = tuple(layer.grid), results[layer.activations].shape[1]
        shapes[layer.activations] = (images, channels, *grid)
        shapes[layer.gradients] = (images, classes, channels, *grid)
        shapes[layer.heatmap] = (images, classes, *grid)
    return [
        f"N = {images}, K = {classes}: {name} has shape {results[name].shape}, not {shape}"
        for name, shape in shapes.items()
        if results[name].shape != shape
    ]


def export_plain(module: nn.Module, shape: Sequence[int], path: Path, axes: Axes = "batch") -> None:
    """Export the module by `torch.onnx.export` alone."""
    example = (random_images(shape, 1 if axes == "none" else 2, 0),)
    opened = open_axes(ModuleInputs.of(example), batch=axes != "none", size=axes == "size")
    torch.onnx.export(
        module, example, path, dynamo=True, verbose=False, opset_version=18, external_data=False,
        dynamic_shapes=opened,
    )  # fmt: skip


def check_plain(artifact: Artifact, path: Path) -> list[str]:
    """Check that the model's outputs are those of a plain export, whose file goes to ``path``."""
    export_plain(artifact.module, artifact.shape, path)
    batch = random_images(artifact.shape, 3, _SEED).numpy()
    session = open_session(path)
    expected = session.run(None, {session.get_inputs()[0].name: batch})
    if len(expected) != len(artifact.outputs):
        return [f"{len(artifact.outputs)} outputs, {len(expected)} in a plain export"]
    plain = dict(zip(artifact.outputs, expected, strict=True))
    found = _differing(artifact.run(batch), plain, dict.fromkeys(plain, PLAIN_BOUND))
    return [f"a plain export: {fault}" for fault in found]


def _differing(
    actual: Mapping[str, Array], expected: Mapping[str, Array], bounds: Mapping[str, float]
) -> list[str]:
    """Outputs that differ by more than their bound."""
    errors = {n: float(relative_errors(actual[n], expected[n]).max()) for n in bounds}
    return [
        f"{name} differs by {error:.1e} (bound {bounds[name]:.1e})"
        for name, error in errors.items()
        if not error <= bounds[name]
    ]
