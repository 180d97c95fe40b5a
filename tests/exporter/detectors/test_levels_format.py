"""Heads with outputs for each level are read, decoded and differentiated as their families do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam import export
from graftcam.exporter.errors import GraftcamError
from support.onnx_text import parsed
from support.sessions import open_session, results

SIZE, CHANNELS, CLASSES = 32, 6, 3
STRIDES = (8, 16)
FEATURES = """
    f1 = Conv <kernel_shape = [8, 8], strides = [8, 8]> (image, stem)
    p3 = Tanh(f1)
    f2 = Conv <kernel_shape = [16, 16], strides = [16, 16]> (image, coarse)
    p4 = Tanh(f2)
"""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Head:
    """A head of one convolution for each kind of output.

    Attributes:
        kinds: Channels of each kind.
        decode: Edges of a box from its numbers, its cell's column and row, and the stride.
        anchors: Boxes at each place.
        sigmoid: Kinds whose output is a sigmoid.
        scaled: The graph multiplies boxes by the stride.
        moved: Outputs are [N, places, channels]; else they stay maps.
        sides: Height and width of the input.
    """

    kinds: dict[str, int]
    decode: Callable[[Array, int, int, int], Array]
    anchors: int = 1
    sigmoid: tuple[str, ...] = ("cls",)
    scaled: bool = False
    moved: bool = True
    sides: str = f"{SIZE}, {SIZE}"


def distribution(numbers: Array, column: int, row: int, stride: int) -> Array:
    """Expected distances from the middle of a cell."""
    logits = numbers.reshape(4, -1)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    far = stride * shares @ np.arange(logits.shape[1])
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    return np.array([x - far[0], y - far[1], x + far[2], y + far[3]])


def distances(offset: float, unit: bool) -> Callable[[Array, int, int, int], Array]:
    """Distances from a place, in strides or, with the stride in the graph already, in pixels."""

    def decode(numbers: Array, column: int, row: int, stride: int) -> Array:
        far = numbers * stride if unit else numbers
        x, y = (column + offset) * stride, (row + offset) * stride
        return np.array([x - far[0], y - far[1], x + far[2], y + far[3]])

    return decode


def logarithms(numbers: Array, column: int, row: int, stride: int) -> Array:
    """A centre counted from the corner of a cell, and logarithms of width and height."""
    x, y = (column + numbers[0]) * stride, (row + numbers[1]) * stride
    w, h = np.exp(numbers[2]) * stride, np.exp(numbers[3]) * stride
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


HEADS = {
    "distributions": Head({"cls": CLASSES, "dis": 32}, distribution),
    "distributions of an open size": Head(
        {"cls": CLASSES, "dis": 32}, distribution, moved=False, sides="H, W"
    ),
    "distances in pixels": Head({"cls": CLASSES, "reg": 4}, distances(0, unit=False), scaled=True),
    "distances and a centreness": Head(
        {"cls": CLASSES, "reg": 4, "ctr": 1}, distances(0.5, unit=False),
        sigmoid=("cls", "ctr"), scaled=True,
    ),
    "faces of two anchors": Head(
        {"cls": 2, "reg": 8, "kps": 20}, distances(0, unit=True), anchors=2
    ),
    "logarithms": Head(
        {"reg": 4, "obj": 1, "cls": CLASSES}, logarithms, sigmoid=("cls", "obj"), moved=False
    ),
}  # fmt: skip


def weights(head: Head) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    found = {
        "stem": 0.2 * generator.standard_normal((CHANNELS, 3, 8, 8)),
        "coarse": 0.1 * generator.standard_normal((CHANNELS, 3, 16, 16)),
    }
    for kind, channels in head.kinds.items():
        found[kind] = generator.standard_normal((channels, CHANNELS, 1, 1))
    return {name: array.astype(np.float32) for name, array in found.items()}


def write(path: Path, head: Head) -> Path:
    """The detector's ONNX file: outputs by kind, then by level, as exporters list them."""
    lines, outputs, constants = [FEATURES], list[str](), dict[str, Array](weights(head))
    for kind, channels in head.kinds.items():
        for level, stride in zip(("p3", "p4"), STRIDES, strict=True):
            value = last = f"{kind}_{stride}"
            steps = [f"Conv({level}, {kind})"]
            if head.scaled and kind == "reg":
                constants[f"s{stride}"] = np.float32(stride)
                steps.append(f"Mul({{}}, s{stride})")
            if kind in head.sigmoid:
                steps.append("Sigmoid({})")
            if head.moved:
                each = channels // head.anchors
                constants[f"to_{kind}"] = np.array([1, -1, each])
                steps += ["Transpose <perm = [0, 2, 3, 1]> ({})", f"Reshape({{}}, to_{kind})"]
            for number, step in enumerate(steps):
                last = value if number == len(steps) - 1 else f"{value}_{number}"
                lines.append(f"{last} = {step.format(f'{value}_{number - 1}')}")
            extents = ["1", *(f"{last}_{axis}" for axis in range(1, 3 if head.moved else 4))]
            outputs.append(f"float[{', '.join(extents)}] {last}")
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        levels (float[1, 3, {head.sides}] image) => ({", ".join(outputs)}) {{ {
        "".join(f"{line}{chr(10)}" for line in lines)
    } }}"""
    onnx.save(parsed(text, constants), path)
    return path


def expected(head: Head, maps: dict[int, Array]) -> tuple[Array, Array]:
    """Edges [boxes, 4] and scores [boxes, classes], in float64, from the levels' features."""
    wide = {name: one.astype(np.float64) for name, one in weights(head).items()}
    edges, scores = list[Array](), list[Array]()
    for stride, features in maps.items():
        _, rows, columns = features.shape
        made = {
            kind: np.einsum("oc,chw->ohw", wide[kind][:, :, 0, 0], features) for kind in head.kinds
        }
        for row in range(rows):
            for column in range(columns):
                for anchor in range(head.anchors):
                    own = {
                        kind: one[:, row, column].reshape(head.anchors, -1)[anchor]
                        for kind, one in made.items()
                    }
                    numbers = own["dis"] if "dis" in own else own["reg"]
                    numbers = numbers * (stride if head.scaled else 1)
                    edges.append(head.decode(numbers, column, row, stride))
                    score = own["cls"]
                    there = own.get("obj", own.get("ctr"))
                    if there is not None:
                        score = -np.log1p(np.exp(-score)) - np.log1p(np.exp(-there))
                    scores.append(score)
    return np.array(edges), np.array(scores)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_boxes_scores_and_gradients_are_those_of_the_formula(tmp_path: Path, head: Head) -> None:
    plain, path = write(tmp_path / "plain.onnx", head), tmp_path / "m.onnx"
    report = export(plain, path, layers=["p3", "p4"], verify="off")
    record = report.spec.detector
    assert record is not None
    assert record.format == "levels"
    assert [one.stride for one in record.levels] == [[8.0, 8.0], [16.0, 16.0]]
    image = np.random.default_rng(1).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    session = open_session(path)
    anchors = head.anchors
    boxes = [0, 5 * anchors + anchors - 1, 16 * anchors, 20 * anchors - 1]
    # Each box's class 0 and then its four edges.
    asked = {
        "box_index": np.repeat(boxes, 5)[None],
        "class_index": np.zeros((1, 20), np.int64),
        "box_target": np.tile(np.arange(5), 4)[None],
    }
    found = results(session, {"image": image, **asked})
    maps = {8: found["activations.p3"][0], 16: found["activations.p4"][0]}
    wide = {stride: one.astype(np.float64) for stride, one in maps.items()}
    edges, scores = expected(head, wide)
    # float32 against float64 on numbers of up to some hundred pixels.
    np.testing.assert_allclose(found["all_boxes"][0], edges, atol=2e-4, rtol=1e-5)
    probable = np.exp(scores) if len(head.sigmoid) > 1 else 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(found["all_scores"][0], probable, atol=1e-6)
    table = np.concatenate([scores[:, :1], edges], 1)
    chosen = np.concatenate([table[box] for box in boxes])
    np.testing.assert_allclose(found["scores"][0], chosen, atol=2e-4, rtol=1e-5)
    for stride, name in ((8, "p3"), (16, "p4")):
        slopes = finite_differences(head, wide, stride)[boxes].reshape(20, *wide[stride].shape)
        np.testing.assert_allclose(found[f"gradients.{name}"][0], slopes, atol=5e-4, rtol=1e-4)


def finite_differences(head: Head, maps: dict[int, Array], stride: int) -> Array:
    """Slopes of class 0 and the edges of all boxes, [boxes, 5, C, h, w], in float64."""
    step, whole = 1e-6, maps[stride]
    found = list[Array]()
    for place in np.ndindex(whole.shape):
        sides = list[Array]()
        for sign in (1, -1):
            moved = whole.copy()
            moved[place] += sign * step
            edges, scores = expected(head, {**maps, stride: moved})
            sides.append(np.concatenate([scores[:, :1], edges], 1))
        found.append((sides[0] - sides[1]) / (2 * step))
    return np.stack(found, -1).reshape(-1, 5, *whole.shape)


def test_four_numbers_of_unknown_meaning_are_refused(tmp_path: Path) -> None:
    unknown = replace(HEADS["distances in pixels"], scaled=False)
    plain = write(tmp_path / "plain.onnx", unknown)
    with pytest.raises(GraftcamError, match="does not show what the numbers of boxes mean"):
        export(plain, tmp_path / "m.onnx", verify="off")
    assert not (tmp_path / "m.onnx").exists()


def test_one_map_for_each_scale_is_no_detector(tmp_path: Path) -> None:
    """Deep supervision of a segmentation: probabilities of classes at two scales."""
    plain = write(tmp_path / "plain.onnx", Head({"cls": 8}, distribution, moved=False))
    assert export(plain, tmp_path / "m.onnx", verify="off").spec.detector is None
