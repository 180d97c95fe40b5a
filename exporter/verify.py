"""The artifact against its reference: PyTorch autograd, or finite differences for ONNX files.

float32 is no exact arithmetic: near a kink one ReLU or arg-max that flips changes a gradient by
1e-3 and more, in PyTorch as well; float16 even more so. So an error counts as small if it is no
more than a few times what PyTorch itself, in the model's own precision, shows against float64 on
the same inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..runtime.session import defaults_of
from ..runtime.spec import Spec, Verification
from .cams.check import check_baked
from .errors import VerificationError, first_line

if TYPE_CHECKING:
    import torch

    from .reference import Expected

Array = npt.NDArray[Any]
FLOOR = 1e-6  # below this, relative errors are rounding noise
_CHUNK = 4  # images at a time, to bound the memory of the float64 pass
GROWTH = 32  # cells by which open sizes differ between two runs; fits most strides
CANCELLED = 1e-4  # of its terms: a sum smaller than this is what rounding has left
SLACK = 4.0  # how many times PyTorch's own error is still accepted
CEILING = 0.5  # but no error beyond this: where PyTorch itself is lost, nothing is proven


@dataclass(frozen=True)
class Check:
    """One tensor held against its reference.

    Attributes:
        name: What was compared.
        errors: Relative L2 error for each image.
        own: The same of PyTorch in the model's precision.
        cosine: Smallest cosine similarity over the images.
        own_cosine: The same of PyTorch in the model's precision.
    """

    name: str
    errors: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]
    cosine: float
    own_cosine: float

    @property
    def bound(self) -> float:
        """Largest error accepted."""
        return min(CEILING, SLACK * max(FLOOR, float(self.own.max(initial=0.0))))

    @property
    def passed(self) -> bool:
        """Median or maximum within its bound, and the direction kept."""
        median = min(CEILING, SLACK * max(FLOOR, float(np.median(self.own))))
        close = bool(np.median(self.errors) <= median or self.errors.max() <= self.bound)
        return close and self.cosine >= min(0.9999, 1 - SLACK * (1 - self.own_cosine))


def relative_errors(
    actual: Array, expected: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> npt.NDArray[np.float64]:
    """Relative L2 error for each entry along axis 0; 0 where both vanish, inf where one is NaN.

    What is no larger than ``floor`` counts as vanished.
    """
    a = actual.reshape(len(actual), -1).astype(np.float64)
    e = expected.reshape(len(expected), -1).astype(np.float64)
    difference, size = np.linalg.norm(a - e, axis=1), np.linalg.norm(a, axis=1)
    norm = np.maximum(np.linalg.norm(e, axis=1), floor)
    difference = np.where((size <= floor) & (norm <= floor), 0.0, difference)
    errors = np.where(norm > 0, difference / np.where(norm > 0, norm, 1.0), difference)
    return np.where(np.isfinite(errors), errors, np.inf)


def smallest_cosine(
    actual: Array, expected: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> float:
    """Smallest cosine similarity over axis 0; entries no larger than ``floor`` count as equal."""
    a = actual.reshape(len(actual), -1).astype(np.float64)
    e = expected.reshape(len(expected), -1).astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(e, axis=1)
    dots = (a * e).sum(axis=1)
    same = (np.linalg.norm(a, axis=1) <= floor) & (np.linalg.norm(e, axis=1) <= floor)
    cosines = np.where(same, 1.0, dots / np.where(norms > 0, norms, 1.0))
    return float(np.min(np.nan_to_num(cosines, nan=-1.0), initial=1.0))


def compare(
    name: str, actual: Array, truth: Array, own: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> Check:
    """Hold ``actual`` against ``truth`` (float64); ``own`` is PyTorch's own result."""
    return Check(
        name,
        relative_errors(actual, truth, floor),
        relative_errors(own, truth, floor),
        smallest_cosine(actual, truth, floor),
        smallest_cosine(own, truth, floor),
    )


def checks(
    results: Mapping[str, Array], spec: Spec, outputs: Sequence[str], truth: Expected, own: Expected
) -> list[Check]:
    """Compare everything that an artifact gives with the reference."""
    found = [
        compare(name, results[name], expected, single)
        for name, expected, single in zip(outputs, truth.outputs, own.outputs, strict=True)
    ]
    scores = compare(spec.scores, results[spec.scores], truth.scores, own.scores)
    # A few numbers out of an output can be exact by luck: on them PyTorch is no better than there.
    # (A channel's score is taken from no output of the model.)
    if spec.score.output in outputs:
        whole = found[outputs.index(spec.score.output)]
        scores = replace(scores, own=np.maximum(scores.own, whole.own))
    found.append(scores)
    for layer in spec.layers:
        for name, t, o, floor in (
            (layer.activations, truth.activations, own.activations, 0.0),
            (layer.gradients, truth.gradients, own.gradients, 0.0),
            (layer.heatmap, truth.heatmaps, own.heatmaps, _negligible(truth, layer.name)),
        ):
            found.append(compare(name, results[name], t[layer.name], o[layer.name], floor))
    for kind, expected in truth.of_input.items():
        name = spec.of_input[kind]
        found.append(compare(name, results[name], expected, own.of_input[kind]))
    return found


def _negligible(truth: Expected, layer: str) -> npt.NDArray[np.float64]:
    """By image, how large a heatmap is that only rounding has left of its terms.

    Behind a norm over the channels whose input is averaged, say, channel weights vanish, and the
    map with them: what is left of it is no direction to agree on.
    """
    gradients, activations = truth.gradients[layer], truth.activations[layer]
    images, classes, channels = gradients.shape[:3]
    weights = np.abs(gradients).reshape(images, classes, channels, -1).mean(3)
    terms = weights @ np.abs(activations).reshape(images, channels, -1)
    return CANCELLED * np.linalg.norm(terms.reshape(images, -1), axis=1)


def verify_module(
    artifact: Path,
    spec: Spec,
    module: torch.nn.Module,
    inputs: Sequence[Any],
    outputs: Sequence[str],
    *,
    images: Sequence[int] = (4, 12, 36),
    seed: int = 0,
) -> Verification:
    """Run artifact and PyTorch on random inputs and compare all outputs.

    Whether a kink flips on an image is chance, for the artifact as for PyTorch itself. So
    a comparison that fails on a few images is repeated on more: chance evens out, errors stay.

    Args:
        artifact: The file.
        spec: Its metadata.
        module: The model that it was made from.
        inputs: Example inputs, whose shapes and types the random ones take.
        outputs: Names of the model's own outputs in the artifact.
        images: Number of random inputs in each attempt, and for each of two sizes where the
            artifact leaves the size open.
        seed: Their seed.

    Raises:
        VerificationError: Some tensor is further off than rounding explains.
    """
    import torch

    from .reference import Reference

    session = load_session(artifact)
    scored = spec.score.output
    position = list(outputs).index(scored) if scored in outputs else 0
    references = [
        Reference(
            module,
            spec.layers,
            dtype,
            output=position,
            score=spec.score,
            of_input=list(spec.of_input),
            picture=picture_index(session, spec) if spec.of_input else 0,
        )
        for dtype in (torch.float64, None)
    ]
    sizes = (0, GROWTH) if open_sizes(session, spec) else (0,)
    found: list[Check] = []
    for attempt, count in enumerate(images):
        parts: list[list[Check]] = []
        for grown, start in itertools.product(sizes, range(0, count, _CHUNK)):
            chunk_seed = seed + 1000 * attempt + start
            part = min(_CHUNK, count - start)
            feeds, tensors = random_inputs(session, inputs, part, grown, chunk_seed)
            feeds |= best_or_drawn(session, feeds, spec, chunk_seed)
            results, region = run_regions(session, feeds, spec, chunk_seed)
            check_baked(results, spec)
            asked = feeds[spec.selector] if spec.classes is None else results[spec.classes]
            truth, own = (reference(tensors, asked, region) for reference in references)
            parts.append(checks(results, spec, outputs, truth, own))
        found = [merge(group) for group in zip(*parts, strict=True)]
        if all(check.passed for check in found):
            break
    _raise_on_failure(found)
    return Verification(
        "pass",
        "autograd-float64",
        len(found[0].errors),
        seed,
        {check.name: short(float(check.errors.max())) for check in found},
        {check.name: short(check.bound) for check in found},
    )


def merge(group: Sequence[Check]) -> Check:
    """One check over the images of several."""
    return Check(
        group[0].name,
        np.concatenate([check.errors for check in group]),
        np.concatenate([check.own for check in group]),
        min(check.cosine for check in group),
        min(check.own_cosine for check in group),
    )


def short(number: float) -> float:
    """Three digits: an error is no exact figure, and metadata should not churn."""
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


def load_session(artifact: Path, *, integer_kernels: bool = True) -> Any:
    """An ONNX Runtime session on the CPU; it can be kept from computing in quantised integers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not integer_kernels:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise VerificationError(
            f"ONNX Runtime cannot load {artifact.name}: {first_line(error)}"
        ) from error


def run_session(session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        raise VerificationError(f"ONNX Runtime cannot run the artifact: {error}") from error


def run_regions(
    session: Any, feeds: Mapping[str, Array], spec: Spec, seed: int
) -> tuple[dict[str, Array], Array | None]:
    """All outputs by name; where scores have positions, for all of them and for random weights.

    Returns:
        The outputs, K doubled for the second region, and the regions, float32 [N, 2K, *positions];
        None where the scores have no positions.
    """
    plain = run_session(session, {**required_feeds(session, spec), **feeds})
    if spec.region is None:
        return plain, None
    positions = spec.score.positions(plain[spec.score.output].shape)
    shape = (*plain[spec.scores].shape, *positions)
    drawn = np.random.default_rng(seed).random(shape, np.float32)
    inside = run_session(session, {**feeds, spec.region: drawn})
    names = {spec.classes or "", spec.scores, *spec.of_input.values()} - {""}
    for layer in spec.layers:
        names |= {layer.heatmap, layer.gradients}
    joined = {name: np.concatenate([plain[name], inside[name]], axis=1) for name in names}
    return {**plain, **joined}, np.concatenate([np.ones_like(drawn), drawn], axis=1)


def best_or_drawn(
    session: Any, feeds: Mapping[str, Array], spec: Spec, seed: int, count: int = 2
) -> dict[str, Array]:
    """The best ``count`` classes for `class_index`, or as many random `score_weights`."""
    if spec.score_weights is None:
        ranks = -1 - np.arange(min(count, spec.score.classes), dtype=np.int64)
        return {spec.selector: ranks[None, :]}
    port = next(one for one in session.get_inputs() if one.name == spec.score_weights)
    extents = [extent if isinstance(extent, int) else 1 for extent in port.shape[2:]]
    none = {**feeds, spec.score_weights: np.zeros((1, 0, *extents), np.float32)}
    # Only a run tells extents that the file leaves open.
    shape = run_session(session, none)[spec.score.output].shape
    drawn = np.random.default_rng(seed).standard_normal((shape[0], count, *shape[1:]), np.float32)
    return {spec.score_weights: drawn}


def required_feeds(session: Any, spec: Spec) -> dict[str, Array]:
    """What the added inputs would hold by default, for those that have none."""
    return defaults_of(spec, {one.name: len(one.shape) for one in session.get_inputs()})


def picture_index(session: Any, spec: Spec) -> int:
    """Place of the picture's input among those of an artifact that gives its gradient."""
    inputs = list(session.get_inputs())
    if spec.preprocess is not None:
        return [one.name for one in inputs].index(spec.preprocess.input)
    return next(i for i, one in enumerate(inputs) if "float" in one.type or "double" in one.type)


def open_sizes(session: Any, spec: Spec) -> bool:
    """Whether the model's inputs that must be fed have open axes beside the batch."""
    own = [one for one in session.get_inputs() if one.name not in spec.own_inputs]
    return any(not isinstance(extent, int) for one in own for extent in one.shape[1:])


def random_inputs(
    session: Any, inputs: Sequence[Any], images: int, grown: int, seed: int
) -> tuple[dict[str, Array], list[Any]]:
    """Random tensors like the examples, as feeds and for PyTorch; a fixed batch keeps its size.

    Open axes beside the batch are longer by multiples of ``grown``, each by another one.
    """
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
            shape = [
                extent if isinstance(known, int) else extent + grown * axis
                for axis, (extent, known) in enumerate(
                    zip(example.shape, argument.shape, strict=True)
                )
            ]
            tensor = torch.randn((count, *shape[1:]), generator=generator)
            tensor = tensor.to(example.dtype)
        else:
            tensor = torch.cat([example] * count)[:count]
        tensors.append(tensor)
        feeds[argument.name] = tensor.numpy()
    return feeds, tensors
