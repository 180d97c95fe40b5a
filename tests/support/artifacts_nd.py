"""Small artifacts of models that take no photograph, or more than one input.

Like the patch model of ``artifacts.py``, each averages its channels over patches, pools the
averages and weighs the means, so that maps can be computed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from graftcam.runtime.spec import METADATA_KEY, Layer, Preprocess, Spec
from support.artifacts import GRAPH, LAYER, OUTPUTS, SCORE, spec
from support.onnx_bytes import onnx_model

CONV = "sums = Conv <strides = [{patch}, {patch}]> (image, kernel)"


def write_nd(
    path: Path,
    inputs: Mapping[str, str],
    *,
    rank: int,
    patch: int = 4,
    weights: Sequence[Sequence[float]] = ((1.0,), (-1.0,)),
    begin: str = "",
    logits: str = "",
    preprocess: Preprocess | None = None,
    prefix: int = 0,
    constants: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write an artifact whose maps have ``rank`` axes.

    Args:
        path: The file.
        inputs: Types of the model's inputs by name, such as ``float[N, 1, L]``.
        rank: Number of axes of a map.
        patch: Cells per patch, along each axis.
        weights: A row for each class, with a weight for each channel.
        begin: Nodes that make ``sums`` [N, C, *space]; default: averages over patches of the first
            input.
        logits: Nodes that make ``logits`` from ``plain``, the weighted means; default: the same.
        preprocess: The stored preprocessing.
        prefix: Tokens before those of the map.
        constants: Further constants.
    """
    matrix = np.asarray(weights, np.float32)
    classes, channels = matrix.shape
    first = next(iter(inputs))
    strides = ", ".join([str(patch)] * rank)
    begin = begin or f"sums = Conv <strides = [{strides}]> ({first}, kernel)"
    graph = GRAPH.replace(CONV, begin).replace("logits = Gemm", "plain = Gemm")
    graph = graph.format(patch=patch, output=OUTPUTS["plain"])
    graph = graph.replace(
        "scored = Identity", f"{logits or 'logits = Identity(plain)'}\n scored = Identity"
    )
    layer = LAYER.format(name="activations", gradients="gradients", heatmap="heatmap")
    space = ", ".join(f"s{axis}" for axis in range(rank))
    ports = ", ".join(f"{kind} {name}" for name, kind in inputs.items())
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches ({ports}, int64[M, K] class_index)
     => (float[N, O] logits, int64[N, K] classes, float[N, K] scores,
         float[N, K, {space}] heatmap, float[N, {channels}, {space}] activations,
         float[N, K, {channels}, {space}] gradients)
    {{ {graph} {layer} }}"""
    kernel = np.zeros((channels, channels, *[patch] * rank), np.float32)
    kernel[range(channels), range(channels)] = 1 / patch**rank
    values = {
        "kernel": kernel,
        "weights": matrix,
        "scored_weights": matrix,
        "class_index": np.array([[-1]]),
        "minus1": np.array(-1),
        "spatial_axes": np.arange(3, 3 + rank),
        **{f"i{i}": np.array([i]) for i in (0, 1, 2)},
        "i4": np.array([2 + rank]),
        **(constants or {}),
    }
    layout = "tokens" if prefix or "Gather" in begin else "channels_first"
    record: Spec = spec(
        labels=None, preprocess=preprocess, score=replace(SCORE, classes=classes),
        layers=[Layer("conv", "activations", layout, [None] * rank, prefix,
                      "heatmap", "activations", "gradients")],
    )  # fmt: skip
    path.write_bytes(onnx_model(text, values, {METADATA_KEY: record.to_json()}))
    return path


def write_signal(path: Path, channels: int = 1, length: int | str = "L") -> Path:
    """Write a model of signals [N, channels, length]: its class 0 is "how large on average"."""
    weights = np.eye(2, channels) + np.eye(2, channels, 1)
    return write_nd(
        path, {"signal": f"float[N, {channels}, {length}]"}, rank=1, weights=weights.tolist()
    )


def write_volume(path: Path, channels: int = 1) -> Path:
    """Write a model of volumes [N, channels, 8, 12, 16]."""
    weights = [[1.0] * channels, [-1.0] * channels]
    ports = {"volume": f"float[N, {channels}, 8, 12, 16]"}
    return write_nd(path, ports, rank=3, weights=weights)


EMBEDDING = np.eye(6, 2, dtype=np.float32)
"""Token 0 is evidence for class 0, token 1 for class 1, and the others for none."""


def write_text(path: Path, *, prefix: int = 0, mask: bool = False) -> Path:
    """Write a model of token ids [N, T], of which the maps leave out the first ``prefix``."""
    ports = {"input_ids": "int64[N, T]"} | ({"attention_mask": "int64[N, T]"} if mask else {})
    begin = "embedded = Gather <axis = 0> (embedding, input_ids)\n"
    begin += "turned = Transpose <perm = [0, 2, 1]> (embedded)\n"
    begin += "sums = Slice(turned, start, end, i2)"
    logits = "logits = Identity(plain)"
    if mask:
        logits = """weight = Cast <to = 1> (attention_mask)
        share = ReduceMean <keepdims = 1> (weight, i1)
        logits = Mul(plain, share)"""
    constants = {
        "embedding": EMBEDDING, "start": np.array([prefix]), "end": np.array([1 << 40]),
    }  # fmt: skip
    return write_nd(
        path, ports, rank=1, weights=[[1.0, 0.0], [0.0, 1.0]], begin=begin, logits=logits,
        prefix=prefix, constants=constants,
    )  # fmt: skip


def write_with_table(path: Path, preprocess: Preprocess | None) -> Path:
    """Write a model of images [N, 3, 32, 32] and tables [N, 2]: logits are the sum of both."""
    ports = {"image": "float[N, 3, 32, 32]", "table": "float[N, 2]"}
    return write_nd(
        path, ports, rank=2, patch=8, weights=[[4.0, 0.0, 0.0], [0.0, 3.0, 0.0]],
        logits="logits = Add(plain, table)", preprocess=preprocess,
    )  # fmt: skip


def write_two_images(path: Path, preprocess: Preprocess | None, layer_of: str = "right") -> Path:
    """Write a model of two images [N, 3, 32, 32], ``left`` and ``right``, with a layer of one."""
    ports = {"left": "float[N, 3, 32, 32]", "right": "float[N, 3, 32, 32]"}
    other = "left" if layer_of == "right" else "right"
    logits = f"""other_mean = ReduceMean <keepdims = 0> ({other}, image_axes)
        two = Slice(other_mean, i0, i2, i1)
        logits = Add(plain, two)"""
    return write_nd(
        path, ports, rank=2, patch=8, weights=[[4.0, 0.0, 0.0], [0.0, 3.0, 0.0]],
        begin=f"sums = Conv <strides = [8, 8]> ({layer_of}, kernel)", logits=logits,
        preprocess=preprocess, constants={"image_axes": np.array([2, 3])},
    )  # fmt: skip
