"""Small artifacts built by hand, whose values can be computed by hand.

The model averages each colour over patches of the image (a strided convolution), pools the
averages over the image and weighs the three means: class 0 is "how red", and so on. The score's
gradient with respect to the averages is therefore ``weights[class] / cells`` everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from graftcam.runtime.spec import (
    METADATA_KEY,
    SPEC_VERSION,
    Layer,
    Preprocess,
    ScoreRecord,
    Spec,
    Verification,
)
from support.onnx_bytes import onnx_model

LABELS = ["red", "green", "blue", "empty"]
# "empty" has negative weights only: its Grad-CAM map is zero wherever the image is not black.
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
"""
# The gradient of the mean over a layer's cells, and the layer's Grad-CAM map.
LAYER = """
    {name}_dims = Shape({name})
    {name}_channels = Slice({name}_dims, i1, i2)
    {name}_space = Slice({name}_dims, i2, i4)
    {name}_cells = ReduceProd <keepdims = 0> ({name}_space)
    {name}_count = Cast <to = 1> ({name}_cells)
    {name}_alpha = Div(rows, {name}_count)
    {name}_spread = Unsqueeze({name}_alpha, spatial_axes)
    {name}_all = Concat <axis = 0> (batch_chosen, {name}_channels, {name}_space)
    {gradients} = Expand({name}_spread, {name}_all)
    {name}_one = Unsqueeze({name}, i1)
    {name}_weighted = Mul({name}_spread, {name}_one)
    {name}_sum = ReduceSum <keepdims = 0> ({name}_weighted, i2)
    {heatmap} = Relu({name}_sum)
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
    metadata: str | bytes | None = None,
    extent: int | str = "O",
    more: tuple[str, str] = ("", ""),
) -> Path:
    """Write the patch model as an artifact whose metadata is ``record`` (or the raw ``metadata``).

    ``record.score.output`` decides whether the model ends in logits or in softmax probabilities;
    ``record.score.single_logit`` needs one row of weights. ``extent`` is the model's
    number of outputs. ``more`` is text for further outputs and their nodes.
    """
    record = record or spec()
    kind = "single" if record.score.single_logit else "plain"
    kind = "softmax" if record.score.output == "probs" else kind
    outputs, nodes = more
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[{batch}, {channels}, H, W] image, int64[M, K] class_index)
     => (float[{batch}, {extent}] {record.score.output}, int64[{batch}, K] classes,
         float[{batch}, K] scores, float[{batch}, K, h, w] heatmap,
         float[{batch}, {channels}, h, w] activations,
         float[{batch}, K, {channels}, h, w] gradients {outputs})
    {{
        {GRAPH.format(patch=patch, output=OUTPUTS[kind])}
        {LAYER.format(name="activations", gradients="gradients", heatmap="heatmap")}
        {nodes}
    }}"""
    matrix = np.asarray(weights, np.float32)
    constants = {
        "kernel": averaging(patch, channels),
        "weights": matrix,
        "scored_weights": np.concatenate([-matrix, matrix]) if kind == "single" else matrix,
        "class_index": np.array([[-1]]),
        "minus1": np.array(-1),
        "spatial_axes": np.array([3, 4]),
        **{f"i{i}": np.array([i]) for i in (0, 1, 2, 4)},
    }
    stored = record.to_json() if metadata is None else metadata
    entries = {METADATA_KEY: stored} if stored else None
    path.write_bytes(onnx_model(text, constants, entries))
    return path


def averaging(patch: int, channels: int = 3) -> np.ndarray:
    """Return the kernel of a convolution that averages each channel over a patch."""
    kernel = np.zeros((channels, channels, patch, patch), np.float32)
    kernel[range(channels), range(channels)] = 1 / patch**2
    return kernel


def write_two_layers(path: Path) -> Path:
    """Write the patch model with two layers: ``fine`` has 8 x 8 cells, ``coarse`` 2 x 4."""
    fine = replace(spec().layers[0], name="fine")
    coarse = Layer("coarse", "coarse", "channels_first", [None, None], 0,
                   "coarse_heatmap", "coarse", "coarse_gradients")  # fmt: skip
    outputs = """, float[N, K, r, c] coarse_heatmap, float[N, 3, r, c] coarse,
         float[N, K, 3, r, c] coarse_gradients"""
    nodes = "coarse = AveragePool <kernel_shape = [4, 2], strides = [4, 2]> (activations)"
    nodes += LAYER.format(name="coarse", gradients="coarse_gradients", heatmap="coarse_heatmap")
    return write_artifact(path, spec(layers=[fine, coarse]), patch=4, more=(outputs, nodes))


# Class maps instead of a class vector: the region weighs the positions of each class's map.
SEGMENTER = """
    averages = Conv <strides = [8, 8]> (image, kernel)
    activations = Relu(averages)
    logits = Conv(activations, weights)
    dims = Shape(logits)
    batch = Slice(dims, i0, i1)
    space = Slice(dims, i2, i4)
    chosen_dims = Shape <start = 1> (class_index)
    batch_chosen = Concat <axis = 0> (batch, chosen_dims)
    index = Expand(class_index, batch_chosen)
    all_dims = Concat <axis = 0> (batch_chosen, space)
    everywhere = Expand(region, all_dims)
    by_class = Einsum <equation = "nkyx,ncyx->nkc"> (everywhere, logits)
    class_count = Slice(dims, i1, i2)
    best, order = TopK <axis = 2> (by_class, class_count)
    ranked = Less(index, i0)
    from_best = Sub(minus1, index)
    zeros = Mul(index, i0)
    rank = Where(ranked, from_best, zeros)
    rank_column = Unsqueeze(rank, i2)
    rank_class = GatherElements <axis = 2> (order, rank_column)
    by_rank = Squeeze(rank_class, i2)
    classes = Where(ranked, by_rank, index)
    class_column = Unsqueeze(classes, i2)
    score_column = GatherElements <axis = 2> (by_class, class_column)
    scores = Squeeze(score_column, i2)
    rows = Gather <axis = 0> (class_rows, classes)
    gradients = Einsum <equation = "nkc,nkyx->nkcyx"> (rows, everywhere)
    alpha = ReduceMean <keepdims = 0> (gradients, spatial_axes)
    summed = Einsum <equation = "nkc,ncyx->nkyx"> (alpha, activations)
    heatmap = Relu(summed)
"""


def write_segmenter(
    path: Path,
    *,
    size: tuple[int | str, int | str] = (32, 32),
    batch: int | str = "N",
    profile: str | None = None,
) -> Path:
    """Write an artifact whose model weighs the colours of each patch: class maps [N, 4, h, w].

    A cell's score for "red" is four times its patch's redness, and so on. Under the profile
    ``web`` classes and regions have no defaults.
    """
    rows, columns = (e // 8 if isinstance(e, int) else e.lower() for e in size)
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[{batch}, 3, {size[0]}, {size[1]}] image, int64[M, K] class_index,
             float[R, L, p, q] region)
     => (float[{batch}, 4, {rows}, {columns}] logits, int64[{batch}, K] classes,
         float[{batch}, K] scores, float[{batch}, K, {rows}, {columns}] heatmap,
         float[{batch}, 3, {rows}, {columns}] activations,
         float[{batch}, K, 3, {rows}, {columns}] gradients)
    {{ {SEGMENTER} }}"""
    matrix = np.asarray(WEIGHTS, np.float32)
    constants = {
        "kernel": averaging(8),
        "weights": matrix[:, :, None, None],
        "class_rows": matrix,
        "minus1": np.array(-1),
        "spatial_axes": np.array([3, 4]),
        **{f"i{i}": np.array([i]) for i in (0, 1, 2, 4)},
    }
    if profile is None:
        constants["class_index"] = np.array([[-1]])
        constants["region"] = np.ones((1, 1, 1, 1), np.float32)
    grid = [extent if isinstance(extent, int) else None for extent in (rows, columns)]
    layer = Layer("activations", "activations", "channels_first", grid, 0,
                  "heatmap", "activations", "gradients")  # fmt: skip
    record = spec(layers=[layer], region="region", profile=profile)
    path.write_bytes(onnx_model(text, constants, {METADATA_KEY: record.to_json()}))
    return path


def resize_model(mode: str) -> bytes:
    """ONNX Runtime's antialiased Resize as a model: the bytes of ``inputs/resize_<mode>.onnx``.

    Input ``image`` uint8 [1, channels, height, width] and ``sizes`` int64 [2]; half-pixel
    centres, and for ``cubic`` the coefficient -0.5 that Pillow uses.
    """
    cubic = "cubic_coeff_a = -0.5, " if mode == "cubic" else ""
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    resize_{mode} (uint8[1, channels, h, w] image, int64[2] sizes)
     => (uint8[1, channels, H, W] resized)
    {{
        resized = Resize <antialias = 1, axes = [2, 3], {cubic}exclude_outside = 1,
                          mode = "{mode}"> (image, , , sizes)
    }}"""
    return onnx_model(text)


def colour_scene() -> np.ndarray:
    """Return a grey image, 80 x 160, with a red and a green square on cells of the map.

    It is halved, and cut to the rows 8 to 72 and the columns 48 to 112; a cell is 16 pixels wide.
    """
    image = np.full((80, 160, 3), 20, np.uint8)
    image[24:40, 80:96, 0] = 255
    image[56:72, 48:64, 1] = 220
    return image


SCENE = colour_scene()


def peak(heatmap: np.ndarray) -> tuple[int, int]:
    """Return row and column of the middle of the pixels where a heatmap is largest."""
    rows, columns = np.nonzero(heatmap >= heatmap.max() - 1e-6)
    return round(rows.mean() + 0.5), round(columns.mean() + 0.5)
