"""These functions compare an artifact with PyTorch in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from graftcam.exporter import TorchExport, export
from graftcam.exporter.report.report import Report
from graftcam.exporter.verify import SLACK, Check, merge
from graftcam.exporter.verify.checks.torch_reference import Reference
from graftcam.exporter.verify.runs.tensors import checks
from graftcam.exporter.verify.verdict.compare import CEILING

from .session import open_session
from .smooth import KINKED

Array = npt.NDArray[Any]
# Without kinks float32 errors stay some 1e-6; a few models amplify them, PyTorch's own as well.
TWIN_BOUND = 1e-5
LOST = 1e-3  # where PyTorch's own error is larger than this, a twin is ill-conditioned
IMAGES = (6, 18, 54)  # more if a check fails: whether a kink flips is chance, errors stay
TWIN_IMAGES = 3  # no kinks, no chance
CHUNK = 3  # images at a time, to bound the memory of the float64 pass
_RANKS = np.array([[-1, 3]], np.int64)
MIXED = [-1, 3, -2]  # ranks and ids


@dataclass(frozen=True)
class Artifact:
    """An export under test.

    Attributes:
        module: What was exported.
        shape: Shape of one input without the batch axis.
        report: Of the export.
        session: ONNX Runtime on the file.
        outputs: Names of the model's own outputs.
        batch: The number of images of a run, where it is fixed.
    """

    module: nn.Module
    shape: tuple[int, ...]
    report: Report
    session: Any
    outputs: list[str]
    batch: int | None = None

    def run(self, images: Array, class_index: Any = None) -> dict[str, Array]:
        """All outputs by name."""
        feeds = {self.session.get_inputs()[0].name: images}
        if class_index is not None:
            feeds[self.report.spec.class_index] = np.asarray(class_index, np.int64)
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, feeds), strict=True))


def make(
    module: nn.Module,
    shape: tuple[int, ...],
    path: Path,
    layers: Sequence[str] | None = None,
    *,
    threads: int = 1,
    batch: int | None = None,
) -> Artifact:
    """Export ``module`` to ``path``, with an open batch or a fixed one, and open the artifact.

    The checks here include those of the verification, which is left out.
    """
    report = export(
        module, path, (random_images(shape, batch or 1, 0),), layers=layers, verify="off",
        trace=TorchExport(dynamic_batch=batch is None),
    )  # fmt: skip
    session, spec = open_session(path, threads), report.spec
    added = {spec.classes, spec.scores, *spec.of_input.values()}
    for layer in spec.layers:
        added |= set(layer.outputs)
    outputs = [output.name for output in session.get_outputs() if output.name not in added]
    return Artifact(module, shape, report, session, outputs, batch)


def random_images(shape: Sequence[int], count: int, seed: int) -> torch.Tensor:
    """Random inputs [count, *shape]."""
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed))


def compare_with_torch(
    artifact: Artifact, images: int, seed: int = 0, *, lost: float = np.inf
) -> list[Check]:
    """Compare all outputs for two classes of each image with PyTorch in float64.

    Runs of a few images on which PyTorch's own error exceeds ``lost`` are left out (`joined`).
    """
    spec, dtypes = artifact.report.spec, (torch.float64, torch.float32)
    references = [Reference(artifact.module, spec.layers, dtype) for dtype in dtypes]
    for one in references:
        one.output = artifact.outputs.index(spec.score.output)
    parts: list[list[Check]] = []
    for start in range(0, images, CHUNK):
        batch = random_images(artifact.shape, min(CHUNK, images - start), seed + start)
        results = artifact.run(batch.numpy(), _RANKS)
        truth, own = (reference([batch], results[spec.classes]) for reference in references)
        parts.append(checks(results, spec, artifact.outputs, truth, own))
    return joined(parts, lost)


def joined(parts: Sequence[list[Check]], lost: float) -> list[Check]:
    """The comparisons of several runs as one, without those on which PyTorch itself is lost.

    What rounding alone turns into something else proves nothing, in either direction. At most half
    of the runs are left out; were it more, all are kept.
    """
    kept = [part for part in parts if not is_lost(part, lost)]
    parts = kept if 2 * len(kept) >= len(parts) else parts
    return [merge(group) for group in zip(*parts, strict=True)]


def check_twin(artifact: Artifact) -> tuple[list[Check], list[str]]:
    """Compare a smooth twin with PyTorch; the check that finds wrong rules.

    Returns:
        The comparisons, and the faults as text.
    """
    found = compare_with_torch(artifact, TWIN_IMAGES)
    # Images on which PyTorch's own float32 is wrong, in a model that amplifies rounding, prove
    # nothing; on the others all must agree.
    valid = np.max([check.own for check in found], axis=0) <= LOST
    faults: list[str] = []
    if valid.mean() < 0.5:
        faults.append(f"PyTorch's float32 fails on {(~valid).sum()} of {len(valid)} images")
    else:
        found = [replace(c, errors=c.errors[valid], own=c.own[valid]) for c in found]
        faults += [describe(c, twin_bound(c)) for c in found if not c.errors.max() <= twin_bound(c)]
    kinked = KINKED & set(artifact.report.operators)
    if kinked - {"Clip"} or (kinked and _clips(artifact)):
        faults.append(f"no smooth twin: its differentiated part has {sorted(kinked)}")
    return found, faults + check_signal(artifact)


def _clips(artifact: Artifact) -> bool:
    """Whether any Clip that is differentiated has a finite bound; Gemma 4's have none."""
    model = onnx.load(artifact.report.path)
    added = [node.name for node in model.graph.node if node.name.startswith("grad/")]
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    bounds = {
        name
        for node in model.graph.node
        if node.op_type == "Clip" and any(n.startswith(f"grad/{node.name}/") for n in added)
        for name in node.input[1:]
    }
    return any(name not in known or np.isfinite(known[name]).any() for name in bounds - {""})


def twin_bound(check: Check) -> float:
    """Largest error accepted of a smooth twin."""
    return max(TWIN_BOUND, SLACK * float(check.own.max()))


def is_lost(found: Sequence[Check], bound: float = LOST) -> bool:
    """Whether PyTorch itself is wrong on images that were not left out: nothing is proven."""
    return not max(float(check.own.max()) for check in found) <= bound


def check_model(artifact: Artifact) -> tuple[list[Check], list[str]]:
    """Compare the model itself, with its kinks, with PyTorch."""
    found: list[Check] = []
    for attempt, images in enumerate(IMAGES):
        found = compare_with_torch(artifact, images, seed=1000 * attempt, lost=CEILING)
        if all(check.passed for check in found):
            break
    return found, [describe(check, check.bound) for check in found if not check.passed]


def describe(check: Check, bound: float) -> str:
    """A comparison in one line."""
    return (
        f"{check.name}: error {check.errors.max():.1e}, median {np.median(check.errors):.1e} "
        f"(PyTorch's own {check.own.max():.1e}, {np.median(check.own):.1e}; bound {bound:.1e}), "
        f"cosine {check.cosine:.6f} (own {check.own_cosine:.6f})"
    )


def check_signal(artifact: Artifact) -> list[str]:
    """Check that the random weights give gradients to all channels, and maps that are not empty.

    Where the channels are the classes, as in SqueezeNet, a class reaches its own channel only.
    """
    spec = artifact.report.spec
    results = artifact.run(random_images(artifact.shape, IMAGES[0], 0).numpy(), [MIXED])
    faults: list[str] = []
    for layer in spec.layers:
        gradients = np.abs(results[layer.gradients]).max(axis=(0, 1))
        dead = float((gradients.reshape(len(gradients), -1).max(axis=1) == 0).mean())
        if dead > 0 and len(gradients) != spec.score.classes:
            faults.append(f"{layer.name}: {dead:.0%} of the channels never get a gradient")
        shown = float((results[layer.heatmap] > 0).any(axis=(2, 3)).mean())
        if shown < 0.25:
            faults.append(f"{layer.name}: only {shown:.0%} of the maps show anything")
    return faults
