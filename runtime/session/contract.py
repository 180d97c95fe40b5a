"""`check_contract` compares an artifact's metadata with the inputs and outputs of its graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import SpecError
from ..settings import WEIGHTED, ScoreRecord
from ..spec import Preprocess, Spec
from ..spec.attention import Attention
from ..spec.detector import EDGES

Extents: TypeAlias = Sequence[int | None]
"""Extents of a tensor, None: open. Without any, the rank is unknown, or the tensor a scalar."""

_INTEGERS = ("tensor(int64)",)
_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")
_IMAGES = (*_FLOATS, "tensor(uint8)")


@dataclass(frozen=True)
class Ports:
    """The inputs and outputs of a graph.

    Attributes:
        inputs: Extents of the inputs, by name.
        outputs: Extents of the outputs, by name.
        types: ONNX Runtime's names for the types of both.
    """

    inputs: Mapping[str, Extents]
    outputs: Mapping[str, Extents]
    types: Mapping[str, str]

    def extents(self, name: str) -> Extents:
        """Return the extents of an input or output."""
        return self.inputs.get(name) or self.outputs.get(name) or ()


@dataclass(frozen=True)
class _Tensor:
    """What the metadata say of an input or output.

    Attributes:
        name: Its name.
        types: The types that it may have; empty: any.
        least: The smallest rank.
        most: The largest; None: none.
    """

    name: str
    types: Sequence[str] = ()
    least: int = 0
    most: int | None = None


def check_contract(spec: Spec, ports: Ports) -> None:
    """Raise SpecError if the graph lacks an input or output, or it has another type or rank.

    Also if the numbers of classes, channels and pixels do not fit the graph's extents.
    """
    _check_selector(spec)
    if spec.detector is not None:
        _check_detector(spec, ports)
    inputs, outputs = list(_inputs(spec)), list(_outputs(spec, ports))
    lacking = [one.name for one in inputs if one.name not in ports.inputs]
    lacking += [one.name for one in outputs if one.name not in ports.outputs]
    if lacking:
        raise SpecError(f"the graph lacks {lacking}; export again")
    names = [one.name for one in inputs]
    if len({*names}) < len(names):
        raise SpecError(f"the inputs {names} are not all different; export again")
    for tensor in (*inputs, *outputs):
        _check_tensor(tensor, ports)
    for one in spec.by_output():
        _check_classes(one, ports.extents(one.score.output))
        _check_similarity(one.score, ports)
    if spec.preprocess is not None:
        _check_image(spec.preprocess, ports.extents(spec.preprocess.input))


def _check_selector(spec: Spec) -> None:
    weighted = (spec.class_index is None, spec.classes is None, spec.score.kind in WEIGHTED)
    if len({spec.score_weights is not None, *weighted}) > 1:
        raise SpecError(
            "a linear score goes with score_weights, and so does a similarity, any other score "
            "with class_index and classes; export again"
        )


def _inputs(spec: Spec) -> Iterator[_Tensor]:
    for name in (spec.class_index, spec.output_index):
        if name is not None:
            yield _Tensor(name, _INTEGERS, 2, 2)
    for name in (spec.region, spec.score_weights):
        if name is not None:
            yield _Tensor(name, _FLOATS, 3)
    for name in () if spec.detector is None else spec.detector.own_inputs:
        yield _Tensor(name, _INTEGERS, 2, 2)
    if spec.preprocess is not None:
        yield _Tensor(spec.preprocess.input, _IMAGES, 4, 4)


def _outputs(spec: Spec, ports: Ports) -> Iterator[_Tensor]:
    if spec.classes is not None:
        yield _Tensor(spec.classes, _INTEGERS, 2, 2)
    yield _Tensor(spec.scores, _FLOATS, 2, 2)
    for layer in spec.layers:
        rank = len(layer.grid) + 2
        for name in (*layer.baked.values(), layer.activations):
            yield _Tensor(name, _FLOATS, rank, rank)
        yield _Tensor(layer.gradients, _FLOATS, rank + 1, rank + 1)
        if layer.head is not None:
            read = [name for name in layer.head.inputs.values() if name not in ports.inputs]
            yield from map(_Tensor, [*read, *(layer.head.outputs or ())])
    rank = len(spec.layers[0].grid) + 2
    for name in spec.of_all_layers:
        yield _Tensor(name, _FLOATS, rank, rank)
    if spec.attention is not None:
        yield from _of_attention(spec.attention)
    for name in spec.of_input.values():
        yield _Tensor(name, _FLOATS, 3)
    if spec.fullgrad is not None and spec.fullgrad_sum is not None:
        yield _Tensor(spec.fullgrad, _FLOATS, 3)
        yield _Tensor(spec.fullgrad_sum, _FLOATS, 2, 2)
    detector = spec.detector
    if detector is not None:
        yield _Tensor(detector.boxes, _FLOATS, 3, 3)
        yield _Tensor(detector.heatmap, _FLOATS, 4, 4)
        if detector.anchors is not None:
            yield _Tensor(detector.anchors, _INTEGERS, 2, 2)
        for name in (*(detector.tables or ()), *(one.output for one in detector.entries)):
            yield _Tensor(name, (), 3, 3)
    yield from map(_Tensor, spec.output_names)


def _of_attention(attention: Attention) -> Iterator[_Tensor]:
    """Outputs about attention: weights [N, queries, keys] with axes of heads and windows or not."""
    for block in attention.blocks:
        tensors = (block.weights, block.queries, block.keys, block.values)
        yield from (_Tensor(name, _FLOATS, 3) for name in tensors if name is not None)
        gradients = (block.gradients, block.result_gradients)
        yield from (_Tensor(name, _FLOATS, 4) for name in gradients if name is not None)
    rank = len(attention.grid) + 2
    for name in (attention.methods or {}).values():
        yield _Tensor(name, _FLOATS, rank, rank)


def _check_tensor(tensor: _Tensor, ports: Ports) -> None:
    found, rank = ports.types.get(tensor.name), len(ports.extents(tensor.name))
    if tensor.types and found not in (None, *tensor.types):
        raise SpecError(
            f"'{tensor.name}' is {found}, and the metadata need {' or '.join(tensor.types)}; "
            "export again"
        )
    if rank and not tensor.least <= rank <= (tensor.most or rank):
        wanted = f"{tensor.least}" if tensor.most else f"{tensor.least} or more"
        raise SpecError(
            f"'{tensor.name}' has {rank} axes, and the metadata need {wanted}; export again"
        )


def _check_classes(spec: Spec, extents: Extents) -> None:
    """Compare the labels, and the output's extents, with the number of classes.

    Args:
        spec: The metadata about one output.
        extents: The output's.
    """
    score = spec.score
    if spec.labels is not None and len(spec.labels) != score.classes:
        raise SpecError(f"{len(spec.labels)} labels for {score.classes} classes; export again")
    if spec.detector is not None or score.kind in WEIGHTED or len(extents) < 2:
        return  # boxes have entries, fed weights are no classes, and [N] is a single logit
    axis = score.class_axis or 1
    if axis >= len(extents):
        raise SpecError(
            f"class_axis {axis} is no axis of '{score.output}', which has {len(extents)}; export "
            "again"
        )
    extent, first = extents[axis], score.class_offset or 0
    count = 1 if score.single_logit else score.classes
    if extent is not None and first + count > extent:
        raise SpecError(
            f"'{score.output}' has {extent} entries along axis {axis}, and the metadata name "
            f"{count} classes behind {first} other entries; export again"
        )


def _check_similarity(score: ScoreRecord, ports: Ports) -> None:
    """Compare the width of the embeddings with the output's that is compared with them."""
    found = score.similarity
    if found is None:
        return
    extents = ports.outputs.get(found.embedding)
    width = extents[1] if extents is not None and len(extents) == 2 else None
    if extents is None or (extents and width not in (None, found.width)):
        shown = "is no output" if extents is None else f"is {list(extents)}"
        raise SpecError(
            f"the metadata compare '{found.embedding}' with embeddings of {found.width} numbers, "
            f"and it {shown}; export again"
        )


def _check_image(transform: Preprocess, extents: Extents) -> None:
    """Compare the size and the channels that the preprocessing gives with the input's."""
    given: list[int | None] = [len(transform.mean), *transform.size]
    if transform.embedded:
        given = [None, None, 3]
    elif transform.layout == "nhwc":
        given = [*given[1:], given[0]]
    pairs = zip(extents[1:], given, strict=False)
    if any(None not in (have, want) and have != want for have, want in pairs):
        raise SpecError(
            f"the preprocessing gives images [N, {', '.join(map(str, given))}], and "
            f"'{transform.input}' takes {list(extents)}; export again"
        )


def _check_detector(spec: Spec, ports: Ports) -> None:
    """Raise SpecError if a detector's record contradicts itself, the layers or the classes."""
    detector = spec.detector
    assert detector is not None
    boxes, scores = detector.box_entries, detector.score_entries
    counts = {one.count - bool(detector.no_object) for one in scores}
    expected = {1} if detector.class_entries else {spec.score.classes}
    if counts != expected:
        raise SpecError(
            f"the detector's outputs have {sorted(counts)} scores a box, the artifact names "
            f"{spec.score.classes} classes; export again"
        )
    named = [layer.name for layer in spec.layers]
    strangers = [level.layer for level in detector.levels if level.layer not in named]
    if strangers or any(one.count != EDGES for one in boxes):
        raise SpecError(
            f"the detector's record does not fit its layers {named} or its boxes; export again"
        )
    for one in detector.entries:
        extents = ports.extents(one.output)
        extent = extents[3 - one.box_axis] if len(extents) == 3 else None
        if extent is not None and one.first + one.count > extent:
            raise SpecError(
                f"'{one.output}' has {extent} entries a box, and the metadata read "
                f"{one.count} behind {one.first} others; export again"
            )
