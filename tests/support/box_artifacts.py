"""A small detector built by hand, whose boxes and maps can be computed by hand.

Cells of 8 pixels have boxes of 8 x 8 pixels around them, and cells of 16 pixels boxes of 16 x 16,
20 in all. A box's logits are how red and how green its cell is; blue makes it wider. A class's
gradient is therefore its weights in the box's own cell, and the left edge looks at blue.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from graftcam.runtime.spec import METADATA_KEY, Layer, ScoreRecord, Spec
from graftcam.runtime.spec.detector import BoxEntries, Detector, Level
from support.artifacts import averaging, preprocess, spec
from support.onnx_bytes import onnx_model

NAMES = ["red", "green"]
WEIGHTS = np.array([[20, -10, -10], [-10, 20, -10]], np.float32)
BIAS = -6.0
WIDER = 8.0  # pixels for the brightest blue
BOXES = 20

GRAPH = """
    sums = Conv <strides = [8, 8]> (image, kernel)
    activations = Relu(sums)
    coarse = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (activations)
    fine_scores = Conv(activations, weights, bias)
    coarse_scores = Conv(coarse, weights, bias)
    fine_logits = Reshape(fine_scores, rows2)
    coarse_logits = Reshape(coarse_scores, rows2)
    logits = Concat <axis = 2> (fine_logits, coarse_logits)
    fine_blue = Slice(activations, i2, i3, i1)
    coarse_blue = Slice(coarse, i2, i3, i1)
    fine_row = Reshape(fine_blue, rows1)
    coarse_row = Reshape(coarse_blue, rows1)
    blue = Concat <axis = 2> (fine_row, coarse_row)
    wider = Mul(blue, grow)
    none = Mul(blue, nought)
    fixed = Add(none, places)
    middle = Slice(fixed, i0, i2, i1)
    width = Slice(fixed, i2, i3, i1)
    tall = Slice(fixed, i3, i4, i1)
    wide = Add(width, wider)
    numbers = Concat <axis = 1> (middle, wide, tall)
    probs = Sigmoid(logits)
    output0 = Concat <axis = 1> (numbers, probs)
    edges = MatMul(to_edges, numbers)
    table = Concat <axis = 1> (logits, edges)
    flat = Reshape(table, row)
    none_each = ReduceSum <keepdims = 0> (none, i12)
    none_column = Unsqueeze(none_each, i1)
    nothing = Cast <to = 7> (none_column)
    class_zero = Mul(class_index, i0)
    box_zero = Mul(box_index, i0)
    target_zero = Mul(box_target, i0)
    two_zeros = Add(class_zero, box_zero)
    three_zeros = Add(two_zeros, target_zero)
    zero = Add(three_zeros, nothing)
    class = Add(class_index, zero)
    wanted = Add(box_index, zero)
    target = Add(box_target, zero)
    best = ReduceMax <keepdims = 0> (logits, i1)
    values, order = TopK <axis = 1> (best, i20)
    ranked = Less(wanted, i0)
    from_best = Sub(minus1, wanted)
    rank = Where(ranked, from_best, zero)
    by_rank = GatherElements <axis = 1> (order, rank)
    box = Where(ranked, by_rank, wanted)
    top = ArgMax <axis = 1, keepdims = 0> (logits)
    own = GatherElements <axis = 1> (top, box)
    any_class = Less(class, i0)
    classes = Where(any_class, own, class)
    edge = Add(target, i1)
    of_class = Equal(target, i0)
    entry = Where(of_class, classes, edge)
    start = Mul(entry, i20)
    place = Add(start, box)
    scores = GatherElements <axis = 1> (flat, place)
    weights_of = Gather <axis = 0> (row_table, entry)
    hot = OneHot <axis = -1> (box, i20, off_on)
    weights_column = Unsqueeze(weights_of, i3)
    hot_row = Unsqueeze(hot, i2)
    all = Mul(weights_column, hot_row)
    fine_all = Slice(all, i0, i16, i3)
    coarse_all = Slice(all, i16, i20, i3)
    gradients = Reshape(fine_all, fine_shape)
    coarse_gradients = Reshape(coarse_all, coarse_shape)
    fine_one = Unsqueeze(activations, i1)
    coarse_one = Unsqueeze(coarse, i1)
    fine_terms = Mul(gradients, fine_one)
    coarse_terms = Mul(coarse_gradients, coarse_one)
    fine_sum = ReduceSum <keepdims = 0> (fine_terms, i2)
    coarse_sum = ReduceSum <keepdims = 0> (coarse_terms, i2)
    fine_map = Relu(fine_sum)
    coarse_map = Relu(coarse_sum)
    size = Shape(fine_map)
    resized = Resize <mode = "linear"> (coarse_map, , , size)
    heatmap = Add(fine_map, resized)
    rows = Transpose <perm = [0, 2, 1]> (edges)
    box_column = Unsqueeze(box, i2)
    boxes = GatherND <batch_dims = 1> (rows, box_column)
"""


def letterbox(**changes: object) -> Spec:
    """The detector's metadata, with a letterbox of 32 x 32 pixels; the record changed as given."""
    layers = [
        Layer("fine", "activations", "channels_first", [4, 4], 0, "fine_map", "activations",
              "gradients", method="hirescam"),
        Layer("coarse", "coarse", "channels_first", [2, 2], 0, "coarse_map", "coarse",
              "coarse_gradients", method="hirescam"),
    ]  # fmt: skip
    detector = Detector(
        "dense", "detect", "box_index", "box_target", "boxes", "heatmap",
        [BoxEntries("output0", 2, 0, 4)], [BoxEntries("output0", 2, 4, 2)], "cxcywh", "pixels",
        True, [Level("fine", 0, 16, [8, 8]), Level("coarse", 16, 4, [16, 16])], ["by hand"],
    )  # fmt: skip
    record: dict[str, object] = {
        name: changes.pop(name) for name in list(changes) if name not in Spec.__dataclass_fields__
    }
    plain = spec(
        version=2,
        score=ScoreRecord("logit", "table", "output0", "sigmoid", activated=True, classes=2),
        layers=layers, labels=NAMES, detector=replace(detector, **record),  # pyright: ignore
        preprocess=preprocess(resize=[32, 32], resize_mode="fit", antialias=False),
    )  # fmt: skip
    return replace(plain, **changes)  # pyright: ignore[reportArgumentType]


def write_detector(
    path: Path, record: Spec | None = None, *, batch: int | str = "N", defaults: bool = True,
    metadata: str | None = None,
) -> Path:  # fmt: skip
    """Write the detector as an artifact whose metadata is ``record`` (or the raw ``metadata``).

    Without ``defaults`` its three inputs must be fed.
    """
    record = record or letterbox()
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    cells (float[{batch}, 3, 32, 32] image, int64[A, B] class_index, int64[C, D] box_index,
           int64[E, F] box_target)
     => (float[{batch}, 6, 20] output0, int64[{batch}, K] classes, float[{batch}, K] scores,
         float[{batch}, K, 4] boxes, float[{batch}, K, 4, 4] heatmap,
         float[{batch}, K, 4, 4] fine_map, float[{batch}, 3, 4, 4] activations,
         float[{batch}, K, 3, 4, 4] gradients, float[{batch}, K, 2, 2] coarse_map,
         float[{batch}, 3, 2, 2] coarse, float[{batch}, K, 3, 2, 2] coarse_gradients)
    {{ {GRAPH} }}"""
    edges = [[0, 0, -WIDER / 2], [0, 0, 0], [0, 0, WIDER / 2], [0, 0, 0]]
    constants = {
        "kernel": averaging(8), "weights": WEIGHTS[:, :, None, None],
        "bias": np.full(2, BIAS, np.float32), "grow": np.array(WIDER, np.float32),
        "nought": np.array(0, np.float32), "places": places().T[None],
        "to_edges": np.array([[1, 0, -0.5, 0], [0, 1, 0, -0.5], [1, 0, 0.5, 0], [0, 1, 0, 0.5]],
                             np.float32),
        "row_table": np.concatenate([WEIGHTS, edges]).astype(np.float32),
        "off_on": np.array([0, 1], np.float32), "minus1": np.array(-1),
        "rows1": np.array([0, 1, -1]), "rows2": np.array([0, 2, -1]), "row": np.array([0, -1]),
        "fine_shape": np.array([0, 0, 3, 4, 4]), "coarse_shape": np.array([0, 0, 3, 2, 2]),
        "i12": np.array([1, 2]), **{f"i{i}": np.array([i]) for i in (0, 1, 2, 3, 4, 16, 20)},
    }  # fmt: skip
    if defaults:
        constants |= {
            "class_index": np.array([[-1]]), "box_index": np.array([[-1]]),
            "box_target": np.array([[0]]),
        }  # fmt: skip
    path.write_bytes(onnx_model(text, constants, {METADATA_KEY: metadata or record.to_json()}))
    return path


def places() -> np.ndarray:
    """Centre, width and height of every box without blue, float32 [20, 4]."""
    found = [
        [(column + 0.5) * side, (row + 0.5) * side, side, side]
        for side in (8, 16)
        for row in range(32 // side)
        for column in range(32 // side)
    ]
    return np.array(found, np.float32)


def street() -> np.ndarray:
    """Return a dark image, 128 x 64, with a red and a green square, each on one fine cell.

    The letterbox is a quarter of its size, with padding left and right: a cell is 32 pixels of it.
    """
    image = np.zeros((128, 64, 3), np.uint8)
    image[32:64, 0:32] = (255, 0, 0)
    image[96:128, 32:64] = (0, 255, 0)
    return image
