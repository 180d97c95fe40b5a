"""A right artifact, and faults of an exporter, each of which `graftcam verify` must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from graftcam.runtime.custody.digests import write_digests
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec
from support.exports import make
from support.nets import Flat

TRANSFORM = Preprocess("", [8, 8], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
LABELS = [f"kind {k}" for k in range(5)]


def producer(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (node,) = (node for node in model.graph.node if name in node.output)
    return node


def instead(model: onnx.ModelProto, output: str, op_type: str, *more: np.ndarray) -> None:
    """Put a node between an output and what makes it."""
    node = producer(model, output)
    inner = f"{output}_before"
    node.output[list(node.output).index(output)] = inner
    for other in model.graph.node:
        for place, name in enumerate(other.input):
            if name == output:
                other.input[place] = inner
    names = [inner]
    for array in more:
        names.append(f"{output}_{len(names)}")
        model.graph.initializer.append(numpy_helper.from_array(array, names[-1]))
    model.graph.node.append(helper.make_node(op_type, names, [output]))


def record(model: onnx.ModelProto, change: Callable[[Spec], Spec]) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = change(Spec.from_json(entry.value)).to_json()


def perturb_gradient(model: onnx.ModelProto) -> None:
    factor = np.ones((1, 1, 6, 8, 8), np.float32)
    factor[0, 0, 0] = 1.01
    instead(model, "gradients", "Mul", factor)


def freeze(model: onnx.ModelProto, output: str, *shape: int) -> None:
    """The same numbers for every input, in the output's shape."""
    node = producer(model, output)
    node.output[list(node.output).index(output)] = "before"
    frozen = np.random.default_rng(0).random(shape, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(frozen, "frozen"))
    model.graph.node.append(helper.make_node("Shape", ["before"], ["shape_before"]))
    model.graph.node.append(helper.make_node("Expand", ["frozen", "shape_before"], [output]))


def bake_gradient(model: onnx.ModelProto) -> None:
    """What an exporter does that runs PyTorch's backward pass once and keeps the numbers."""
    freeze(model, "gradients", 1, 1, 6, 8, 8)


def swap_classes(model: onnx.ModelProto) -> None:
    """Scores of the classes in the opposite order."""
    node = next(n for n in model.graph.node if n.op_type == "GatherElements" and "scores" in n.name)
    model.graph.initializer.append(numpy_helper.from_array(np.array(4), "last_class"))
    flip = helper.make_node("Sub", ["last_class", node.input[1]], ["swapped"])
    place = list(model.graph.node).index(node)
    node.input[1] = "swapped"
    model.graph.node.insert(place, flip)


def rename_classes(model: onnx.ModelProto) -> None:
    instead(model, "classes", "Sub", np.array(1))


def change_output(model: onnx.ModelProto) -> None:
    name = model.graph.output[0].name
    instead(model, name, "Add", np.array([0.01, 0, 0, 0, 0], np.float32))


def freeze_map(model: onnx.ModelProto) -> None:
    freeze(model, "heatmap", 1, 1, 8, 8)


def stale_weights(model: onnx.ModelProto) -> None:
    """An artifact of yesterday's weights: its record tells of others than the source has."""
    record(model, lambda spec: replace(spec, source={**spec.source, "weights_sha256": "0" * 64}))


def change_layer(model: onnx.ModelProto, **changes: Any) -> None:
    record(model, lambda spec: replace(spec, layers=[replace(spec.layers[0], **changes)]))


def stale_layer(model: onnx.ModelProto) -> None:
    change_layer(model, value="conv2d_of_then")


def stale_grid(model: onnx.ModelProto) -> None:
    change_layer(model, grid=[4, 4])


def stale_version(model: onnx.ModelProto) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = entry.value.replace('"version":1', '"version":9')


def no_record(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def forget_default(model: onnx.ModelProto) -> None:
    (default,) = (t for t in model.graph.initializer if t.name == "class_index")
    model.graph.initializer.remove(default)


def swap_labels(model: onnx.ModelProto) -> None:
    record(model, lambda spec: replace(spec, labels=[*LABELS[1:], LABELS[0]]))


def comment(model: onnx.ModelProto) -> None:
    model.graph.doc_string = "exported on Tuesday"


WRONG = {
    "a perturbed gradient weight": (perturb_gradient, "gradients", "error "),
    "a gradient baked in as a constant": (
        bake_gradient, "gradients", "the same for every input, as if baked in as a constant"),
    "scores of other classes": (swap_classes, "classes", "not those of the classes that come with"),
    "other classes than requested": (rename_classes, "classes", "for classes"),
    "a changed output": (change_output, "outputs", "error "),
    "a map that is the same for every input": (
        freeze_map, "dependence", "the maps of layer 'body.0' do not depend on the input"),
    "a record of a layer that is gone": (
        stale_layer, "metadata", "'conv2d_of_then' is no value of the graph"),
    "a record of another grid": (stale_grid, "metadata", "grid [4, 4], its heatmap has [8, 8]"),
    "a record of a newer version": (stale_version, "metadata", "follows graftcam spec 9"),
    "no record": (no_record, "metadata", "has no graftcam metadata"),
    "an input without its default": (
        forget_default, "drop-in", "the artifact must also be fed class_index"),
}  # fmt: skip

WRONG_BY_SOURCE = {
    "a record of other weights": (
        stale_weights, "source", "the artifact was made from 000000000000; export again"),
    "labels in another order": (
        swap_labels, "labels", "class 0 is 'kind 1' in the artifact and 'kind 0' in the source"),
    "another byte": (comment, "determinism", "gives other bytes, in the graph"),
}  # fmt: skip


def changed(good: Path, path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A file that a faulty exporter wrote: changed, with the digests of what it is."""
    model = onnx.load(good)
    change(model)
    onnx.save(model, path)
    write_digests(path)
    return path


def flat_artifact(path: Path) -> Path:
    """Export `Flat`, whose gradients depend on the image, with labels and preprocessing."""
    make(Flat(), path, layers="body.0", labels=LABELS, preprocess=TRANSFORM, name="nets")
    return path
