"""NonMaxSuppression in the graph: the dense tables before it are explained and published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graftcam.exporter import ScoreError, export
from graftcam.runtime.spec import Spec
from support.detectors import ANCHORS, SIZE, Tiny, detector
from support.sessions import run


def made(folder: Path, proto: onnx.ModelProto, **options: Any) -> tuple[Path, Spec]:
    plain, path = folder / "plain.onnx", folder / "artifact.onnx"
    plain.write_bytes(proto.SerializeToString())
    return path, export(plain, path, verify="off", **options).spec


def image(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, SIZE, SIZE), np.float32)


@pytest.mark.parametrize("tiny", [
    Tiny("nms", corners=True), Tiny("nms", centre_point=True), Tiny("nms", corners=True, unit=True),
], ids=["corners, the vertical first", "centre points", "shares"])  # fmt: skip
def test_the_tables_before_the_suppression_are_published(tmp_path: Path, tiny: Tiny) -> None:
    path, spec = made(tmp_path, detector(tiny))
    block = spec.detector
    assert block is not None
    assert block.format == "nms"
    assert block.tables == ["all_boxes", "all_scores"]
    assert set(block.tables) <= set(spec.own_outputs)
    found = run(path, {"images": image(), "box_index": np.arange(ANCHORS)[None]})
    dense = run(detector(Tiny(corners=True)).SerializeToString(), {"images": image()})["output0"]
    np.testing.assert_allclose(found["all_boxes"][0], dense[0, :4].T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["all_scores"][0], dense[0, 4:].T, rtol=1e-5)
    np.testing.assert_allclose(found[block.boxes], found["all_boxes"], rtol=1e-6)
    probability = 1 / (1 + np.exp(-found[spec.scores][0]))
    np.testing.assert_allclose(probability, dense[0, 4:].max(0), rtol=1e-5)


def test_the_models_own_outputs_stay(tmp_path: Path) -> None:
    proto = detector(Tiny("nms", corners=True))
    path, _ = made(tmp_path, proto)
    expected, found = run(proto.SerializeToString(), {"images": image()}), run(
        path, {"images": image()})  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_boxes_that_are_filtered_and_shifted_first_are_found_behind_that(tmp_path: Path) -> None:
    """Best class only, those above a threshold, shifted by their class: one suppression for all."""
    proto = detector(Tiny(corners=True, rows=True))
    graph = proto.graph
    for name, array in {
        "f_four": [4], "f_zero": [0], "f_seven": [7], "f_axis": [2], "f_image": np.array(0),
        "f_low": np.array(0.3, np.float32), "f_far": np.array(100.0, np.float32), "f_one": [1],
        "f_most": [9], "f_iou": np.array([0.5], np.float32), "f_flat": [-1],
    }.items():  # fmt: skip
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    steps = [
        ("Slice", ["output0", "f_zero", "f_four", "f_axis"], "f_boxes", {}),
        ("Slice", ["output0", "f_four", "f_seven", "f_axis"], "f_scores", {}),
        ("ReduceMax", ["f_scores", "f_axis"], "f_best", {"keepdims": 0}),
        ("ArgMax", ["f_scores"], "f_class", {"axis": 2, "keepdims": 0}),
        ("Gather", ["f_boxes", "f_image"], "f_boxes_0", {"axis": 0}),
        ("Gather", ["f_best", "f_image"], "f_best_0", {"axis": 0}),
        ("Gather", ["f_class", "f_image"], "f_class_0", {"axis": 0}),
        ("Greater", ["f_best_0", "f_low"], "f_above", {}),
        ("NonZero", ["f_above"], "f_where", {}),
        ("Transpose", ["f_where"], "f_places", {"perm": [1, 0]}),
        ("GatherND", ["f_boxes_0", "f_places"], "f_kept", {}),
        ("GatherND", ["f_best_0", "f_places"], "f_kept_scores", {}),
        ("GatherND", ["f_class_0", "f_places"], "f_kept_class", {}),
        ("Cast", ["f_kept_class"], "f_number", {"to": 1}),
        ("Mul", ["f_number", "f_far"], "f_shift", {}),
        ("Unsqueeze", ["f_shift", "f_one"], "f_shift_column", {}),
        ("Add", ["f_kept", "f_shift_column"], "f_shifted", {}),
        ("Unsqueeze", ["f_shifted", "f_zero"], "f_given", {}),
        ("Unsqueeze", ["f_kept_scores", "f_zero"], "f_row", {}),
        ("Unsqueeze", ["f_row", "f_zero"], "f_given_scores", {}),
        ("NonMaxSuppression", ["f_given", "f_given_scores", "f_most", "f_iou"], "selected", {}),
    ]
    for operator, inputs, output, attributes in steps:
        graph.node.append(helper.make_node(operator, inputs, [output], output, **attributes))
    graph.output.pop()
    graph.output.append(helper.make_tensor_value_info("selected", onnx.TensorProto.INT64, None))
    path, spec = made(tmp_path, proto)
    assert spec.detector is not None
    assert spec.detector.format == "nms"
    found = run(path, {"images": image()})
    dense = run(detector(Tiny(corners=True)).SerializeToString(), {"images": image()})["output0"]
    np.testing.assert_allclose(found["all_boxes"][0], dense[0, :4].T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["all_scores"][0], dense[0, 4:].T, rtol=1e-5)


def test_scores_times_objectness_count_as_their_product(tmp_path: Path) -> None:
    """As YOLOv5's exports multiply them before the suppression."""
    tiny = Tiny("nms", corners=True)
    proto = detector(tiny)
    graph, rng = proto.graph, np.random.default_rng(0)
    weights = rng.standard_normal((1, 6, 1, 1)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, "o_w"))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 1, -1]), "o_flat"))
    nodes = list(graph.node)
    place = next(i for i, node in enumerate(nodes) if node.output[0] == "scores_p")
    more = [
        helper.make_node(*one) for one in [
            ("Conv", ["fine", "o_w"], ["o_fine"], "o0"),
            ("Conv", ["coarse", "o_w"], ["o_coarse"], "o1"),
            ("Reshape", ["o_fine", "o_flat"], ["o_a"], "o2"),
            ("Reshape", ["o_coarse", "o_flat"], ["o_b"], "o3"),
        ]
    ]  # fmt: skip
    more += [
        helper.make_node("Concat", ["o_a", "o_b"], ["o_all"], "o4", axis=2),
        helper.make_node("Sigmoid", ["o_all"], ["o_p"], "o5"),
        helper.make_node("Mul", ["scores_p", "o_p"], ["product"], "o6"),
    ]
    for node in nodes[place + 1 :]:
        for index, name in enumerate(node.input):
            if name == "scores_p":
                node.input[index] = "product"
    del graph.node[:]
    graph.node.extend([*nodes[: place + 1], *more, *nodes[place + 1 :]])
    graph.output.append(helper.make_tensor_value_info("product", onnx.TensorProto.FLOAT, None))
    path, spec = made(tmp_path, proto)
    found = run(path, {"images": image(), "box_index": np.arange(ANCHORS)[None]})
    np.testing.assert_allclose(found["all_scores"][0], found["product"][0].T, rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[spec.scores][0]), found["product"][0].max(0), rtol=1e-5)


def test_a_suppression_of_what_is_not_known_is_refused(tmp_path: Path) -> None:
    proto = detector(Tiny("nms", corners=True, activated=True))
    for node in proto.graph.node:
        if node.op_type == "NonMaxSuppression":
            node.input[0] = "given"
    numbers = np.random.default_rng(0).random((1, ANCHORS, 4)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(numbers, "given"))
    with pytest.raises(ScoreError, match=r"NonMaxSuppression.*--detector off"):
        made(tmp_path, proto)
