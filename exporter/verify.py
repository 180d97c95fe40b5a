"""The artifact against its reference: PyTorch autograd, or finite differences for ONNX files.

float32 is no exact arithmetic: near a kink one ReLU or arg-max that flips changes a gradient by
1e-3 and more, in PyTorch as well. So an error counts as small if it is no more than a few times
what PyTorch's own float32 shows against float64 on the same inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..runtime.spec import Spec, Verification
from .errors import VerificationError

if TYPE_CHECKING:
    import torch

    from .reference import Expected

Array = npt.NDArray[Any]
FLOOR = 1e-6  # below this, relative errors are rounding noise
SLACK = 4.0  # how many times PyTorch's own float32 error is still accepted
FINITE_DIFFERENCE_BOUND = 1e-3


@dataclass(frozen=True)
class Check:
    """One tensor held against its reference.

    Attributes:
        name: What was compared.
        errors: Relative L2 error for each image.
        own: The same of PyTorch's float32.
        cosine: Smallest cosine similarity over the images.
        own_cosine: The same of PyTorch's float32.
    """

    name: str
    errors: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]
    cosine: float
    own_cosine: float

    @property
    def bound(self) -> float:
        """Largest error accepted."""
        return SLACK * max(FLOOR, float(self.own.max(initial=0.0)))

    @property
    def passed(self) -> bool:
        """Median or maximum within its bound, and the direction kept."""
        median = SLACK * max(FLOOR, float(np.median(self.own)))
        close = bool(np.median(self.errors) <= median or self.errors.max() <= self.bound)
        return close and self.cosine >= min(0.9999, 1 - SLACK * (1 - self.own_cosine))


def relative_errors(actual: Array, expected: Array) -> npt.NDArray[np.float64]:
    """Relative L2 error for each entry along axis 0; 0 where both vanish, inf where one is NaN."""
    a = actual.reshape(len(actual), -1).astype(np.float64)
    e = expected.reshape(len(expected), -1).astype(np.float64)
    difference, norm = np.linalg.norm(a - e, axis=1), np.linalg.norm(e, axis=1)
    errors = np.where(norm > 0, difference / np.where(norm > 0, norm, 1.0), difference)
    return np.where(np.isfinite(errors), errors, np.inf)


def smallest_cosine(actual: Array, expected: Array) -> float:
    """Smallest cosine similarity over axis 0; entries that vanish in both count as equal."""
    a = actual.reshape(len(actual), -1).astype(np.float64)
    e = expected.reshape(len(expected), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(e, axis=1)
    dots = (a * e).sum(axis=1)
    same = (np.linalg.norm(a, axis=1) == 0) & (np.linalg.norm(e, axis=1) == 0)
    cosines = np.where(same, 1.0, dots / np.where(norms > 0, norms, 1.0))
    return float(np.min(np.nan_to_num(cosines, nan=-1.0), initial=1.0))


def compare(name: str, actual: Array, truth: Array, own: Array) -> Check:
    """Hold ``actual`` against ``truth`` (float64), with ``own`` (PyTorch float32) as the yardstick."""
    return Check(
        name,
        relative_errors(actual, truth),
        relative_errors(own, truth),
        smallest_cosine(actual, truth),
        smallest_cosine(own, truth),
    )


def checks(
    results: Mapping[str, Array], spec: Spec, outputs: Sequence[str], truth: Expected, own: Expected
) -> list[Check]:
    """Compare everything that an artifact gives with the reference."""
    found = [
        compare(name, results[name], expected, single)
        for name, expected, single in zip(outputs, truth.outputs, own.outputs, strict=True)
    ]
    found.append(compare(spec.scores, results[spec.scores], truth.scores, own.scores))
    for layer in spec.layers:
        for name, t, o in (
            (layer.activations, truth.activations, own.activations),
            (layer.gradients, truth.gradients, own.gradients),
            (layer.heatmap, truth.heatmaps, own.heatmaps),
        ):
            found.append(compare(name, results[name], t[layer.name], o[layer.name]))
    return found


def verify_module(
    artifact: Path,
    spec: Spec,
    module: torch.nn.Module,
    inputs: Sequence[Any],
    outputs: Sequence[str],
    *,
    images: int = 4,
    seed: int = 0,
) -> Verification:
    """Run artifact and PyTorch on random inputs and compare all outputs.

    Args:
        artifact: The file.
        spec: Its metadata.
        module: The model that it was made from.
        inputs: Example inputs, whose shapes and types the random ones take.
        outputs: Names of the model's own outputs in the artifact.
        images: Number of random inputs.
        seed: Their seed.

    Raises:
        VerificationError: Some tensor is further off than rounding explains.
    """
    import torch

    from .reference import Reference

    session = _session(artifact)
    feeds_by_name, tensors = _random_inputs(session, inputs, images, seed)
    count = min(2, spec.score.classes)
    ranks = -1 - np.arange(count, dtype=np.int64)[None, :]
    results = _run(session, {**feeds_by_name, spec.class_index: ranks})
    classes: npt.NDArray[np.int64] = results[spec.classes]
    position = list(outputs).index(spec.score.output)
    layers = [layer.name for layer in spec.layers]
    runs = [
        Reference(module, layers, dtype, output=position, kind=spec.score.kind)(tensors, classes)
        for dtype in (torch.float64, torch.float32)
    ]
    found = checks(results, spec, outputs, runs[0], runs[1])
    _raise_on_failure(found)
    return Verification(
        "pass",
        "autograd-float64",
        len(classes),
        seed,
        {check.name: _short(float(check.errors.max())) for check in found},
        {check.name: _short(check.bound) for check in found},
    )


def _short(number: float) -> float:
    return float(f"{number:.2e}")


def _raise_on_failure(found: Sequence[Check]) -> None:
    wrong = [check for check in found if not check.passed]
    if wrong:
        details = "; ".join(
            f"{c.name}: error {c.errors.max():.1e} (bound {c.bound:.1e}), cosine {c.cosine:.6f}"
            for c in wrong
        )
        raise VerificationError(
            f"the artifact disagrees with PyTorch autograd, nothing was written: {details}"
        )


def _session(artifact: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise VerificationError(f"ONNX Runtime cannot load the artifact: {error}") from error


def _run(session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        raise VerificationError(f"ONNX Runtime cannot run the artifact: {error}") from error


def _random_inputs(
    session: Any, inputs: Sequence[Any], images: int, seed: int
) -> tuple[dict[str, Array], list[Any]]:
    """Random tensors like the examples, as feeds and for PyTorch; a fixed batch keeps its size."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    feeds: dict[str, Array] = {}
    tensors: list[Any] = []
    arguments = list(session.get_inputs())
    for argument, example in zip(arguments, inputs, strict=False):
        if not isinstance(example, torch.Tensor):
            tensors.append(example)
            continue
        batch = argument.shape[0] if argument.shape else None
        count = batch if isinstance(batch, int) else images
        if example.is_floating_point():
            tensor = torch.randn((count, *example.shape[1:]), generator=generator)
        else:
            tensor = torch.cat([example] * count)[:count]
        tensors.append(tensor)
        feeds[argument.name] = tensor.numpy()
    return feeds, tensors
