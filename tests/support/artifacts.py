"""Small artifacts built by hand, whose every value can be told by thinking.

The model averages each colour over patches of the picture (a strided convolution), pools the
averages over the picture and weighs the three means: class 0 is "how red", and so on. The score's
gradient with respect to the averages is therefore ``weights[class] / cells`` everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graftcam.exporter import export
from graftcam.exporter.graph.profiles import ProfileName
from graftcam.runtime.spec import (
    METADATA_KEY,
    SPEC_VERSION,
    Layer,
    Preprocess,
    ScoreRecord,
    Spec,
    Verification,
)

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ["red", "green", "blue", "empty"]
# "empty" has negative weights only: its Grad-CAM map is zero wherever the picture is not black.
WEIGHTS = [[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [-1.0, -1.0, -1.0]]
SCORE = ScoreRecord("logit", "logits", "logits", "softmax", activated=False, classes=4)

GRAPH = """
    sums = Conv <strides = [{patch}, {patch}]> (image, kernel)
    activations = Relu(sums)
    pooled = GlobalAveragePool(activations)
    flat = Flatten(pooled)
    logits = Gemm <transB = 1> (flat, weights)
    {output}
    dims = Shape(activations)
    batch = Slice(dims, i0, i1)
    channels = Slice(dims, i1, i2)
    space = Slice(dims, i2, i4)
    chosen_dims = Shape <start = 1> (class_index)
    batch_chosen = Concat <axis = 0> (batch, chosen_dims)
    index = Expand(class_index, batch_chosen)
    class_count = Shape <start = 1> (scored)
    best, order = TopK <axis = 1> (scored, class_count)
    ranked = Less(index, i0)
    from_best = Sub(minus1, index)
    zeros = Mul(index, i0)
    rank = Where(ranked, from_best, zeros)
    by_rank = GatherElements <axis = 1> (order, rank)
    classes = Where(ranked, by_rank, index)
    scores = GatherElements <axis = 1> (scored, classes)
    rows = Gather <axis = 0> (scored_weights, classes)
    cells = ReduceProd <keepdims = 0> (space)
    cells_f = Cast <to = 1> (cells)
    alpha = Div(rows, cells_f)
    one_alpha = Unsqueeze(alpha, spatial_axes)
    all_dims = Concat <axis = 0> (batch_chosen, channels, space)
    gradients = Expand(one_alpha, all_dims)
    one_activations = Unsqueeze(activations, i1)
    weighted = Mul(one_alpha, one_activations)
    summed = ReduceSum <keepdims = 0> (weighted, i2)
    heatmap = Relu(summed)
"""
OUTPUTS = {
    "softmax": "scored = Identity(logits)\n    probs = Softmax <axis = 1> (logits)",
    "single": "negative = Neg(logits)\n    scored = Concat <axis = 1> (negative, logits)",
    "plain": "scored = Identity(logits)",
}


def preprocess(**changes: object) -> Preprocess:
    """Resize the shorter side to 40, crop 32 x 32, values 0 to 1; changed as given."""
    plain = Preprocess(
        input="image", size=[32, 32], resize=[40], resize_mode="shorter", interpolation="bilinear",
        scale=1 / 255, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0],
    )  # fmt: skip
    return replace(plain, **changes)  # pyright: ignore[reportArgumentType]


def spec(**changes: object) -> Spec:
    """The metadata of the plain artifact, changed as given."""
    plain = Spec(
        version=SPEC_VERSION,
        class_index="class_index", classes="classes", scores="scores", score=SCORE,
        layers=[
            Layer("features.0", "activations", "channels_first", [None, None], 0,
                  "heatmap", "activations", "gradients"),
        ],
        labels=LABELS, preprocess=preprocess(), source={"name": "patches"}, tools={},
        verification=Verification("skipped", "none"),
    )  # fmt: skip
    return replace(plain, **changes)  # pyright: ignore[reportArgumentType]


def write_artifact(
    path: Path,
    record: Spec | None = None,
    *,
    weights: list[list[float]] = WEIGHTS,
    patch: int = 8,
    channels: int = 3,
    batch: int | str = "N",
    metadata: str | None = None,
) -> Path:
    """Write the patch model as an artifact whose metadata is ``record`` (or the raw ``metadata``).

    ``record.score.output`` decides whether the model ends in logits or in softmax probabilities;
    ``record.score.single_logit`` wants one row of weights.
    """
    record = record or spec()
    kind = "single" if record.score.single_logit else "plain"
    kind = "softmax" if record.score.output == "probs" else kind
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[{batch}, {channels}, H, W] image, int64[M, K] class_index)
     => (float[{batch}, O] {record.score.output}, int64[{batch}, K] classes,
         float[{batch}, K] scores, float[{batch}, K, h, w] heatmap,
         float[{batch}, {channels}, h, w] activations,
         float[{batch}, K, {channels}, h, w] gradients)
    {{ {GRAPH.format(patch=patch, output=OUTPUTS[kind])} }}"""
    model = onnx.parser.parse_model(text)
    matrix = np.asarray(weights, np.float32)
    kernel = np.zeros((channels, channels, patch, patch), np.float32)
    kernel[range(channels), range(channels)] = 1 / patch**2
    constants: dict[str, np.ndarray] = {
        "kernel": kernel,
        "weights": matrix,
        "scored_weights": np.concatenate([-matrix, matrix]) if kind == "single" else matrix,
        "class_index": np.array([[-1]]),
        "minus1": np.array(-1),
        "spatial_axes": np.array([3, 4]),
        **{f"i{i}": np.array([i]) for i in (0, 1, 2, 4)},
    }
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())
    text = record.to_json() if metadata is None else metadata
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def resize_model(mode: str) -> bytes:
    """ONNX Runtime's antialiased Resize as a model: the bytes of ``runtime/resize_<mode>.onnx``.

    Input ``picture`` uint8 [1, channels, height, width] and ``sizes`` int64 [2]; half-pixel
    centres, and for ``cubic`` the coefficient -0.5 that Pillow uses.
    """
    attributes = {"cubic_coeff_a": -0.5} if mode == "cubic" else {}
    node = helper.make_node(
        "Resize", ["picture", "", "", "sizes"], ["resized"],
        mode=mode, antialias=1, exclude_outside=1, axes=[2, 3], **attributes,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        f"resize_{mode}",
        [
            helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, "channels", "h", "w"]),
            helper.make_tensor_value_info("sizes", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, [1, "channels", "H", "W"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model.SerializeToString()


def colour_scene() -> np.ndarray:
    """Return a grey picture, 80 x 160, with a red and a green square on cells of the map.

    It is halved, and cut to the rows 8 to 72 and the columns 48 to 112; a cell is 16 pixels wide.
    """
    picture = np.full((80, 160, 3), 20, np.uint8)
    picture[24:40, 80:96, 0] = 255
    picture[56:72, 48:64, 1] = 220
    return picture


SCENE = colour_scene()


def peak(heatmap: np.ndarray) -> tuple[int, int]:
    """Return row and column of the middle of the pixels where a heatmap is largest."""
    rows, columns = np.nonzero(heatmap >= heatmap.max() - 1e-6)
    return round(rows.mean() + 0.5), round(columns.mean() + 0.5)


def write_segmenter(
    path: Path,
    *,
    size: tuple[int | str, int | str] = (32, 32),
    batch: int | str = "N",
    profile: ProfileName = "default",
) -> Path:
    """Write an artifact whose model weighs the colours of each patch: class maps [N, 4, h, w].

    A cell's score for "red" is four times its patch's redness, and so on.
    """
    plain = path.with_suffix(".plain.onnx")
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[{batch}, 3, {size[0]}, {size[1]}] image) => (float[{batch}, 4, h, w] logits)
    {{
        averages = Conv <strides = [8, 8]> (image, kernel)
        activations = Relu(averages)
        logits = Conv(activations, weights)
    }}"""
    model = onnx.parser.parse_model(text)
    kernel = np.zeros((3, 3, 8, 8), np.float32)
    kernel[range(3), range(3)] = 1 / 64
    weights = np.asarray(WEIGHTS, np.float32)[:, :, None, None]
    for name, array in (("kernel", kernel), ("weights", weights)):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    if isinstance(size[0], int) and isinstance(size[1], int):
        shape = model.graph.output[0].type.tensor_type.shape
        for axis, extent in enumerate(size):
            shape.dim[2 + axis].dim_value = int(extent) // 8
    plain.write_bytes(model.SerializeToString())
    export(
        plain, path, layers="activations", labels=LABELS, preprocess=preprocess(), verify="off",
        profile=profile,
    )  # fmt: skip
    plain.unlink()
    return path
