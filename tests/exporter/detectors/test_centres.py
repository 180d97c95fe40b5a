"""Heat maps of centres are read, decoded and differentiated as their two families do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam import export
from graftcam.exporter.errors import ScoreError
from support.onnx_text import parsed
from support.sessions import open_session, results

SIDES, STRIDE, CHANNELS = (24, 32), 4, 5
Array = np.ndarray[Any, Any]


def constants(*, face: bool) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    shapes = {"stem": (CHANNELS, 3, 4, 4), "heat": (1 if face else 3, CHANNELS, 1, 1)}
    shapes |= {"size": (2, CHANNELS, 1, 1), "move": (2, CHANNELS, 1, 1)}
    shapes |= {"marks": (10, CHANNELS, 1, 1)}
    made = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    return {name: (0.3 * one).astype(np.float32) for name, one in made.items()}


def write(path: Path, *, face: bool, sides: str = "24, 32", swapped: bool = False) -> Path:
    """CenterFace with key points, or CenterNet with three classes; ``swapped``: offsets first."""
    last = "marks_out = Conv(map, marks)" if face else ""
    pair = ["float[N, 2, h, w] wh", "float[N, 2, h, w] reg"]
    outputs = ["float[N, c, h, w] hm", *(reversed(pair) if swapped else pair)]
    outputs += ["float[N, 10, h, w] marks_out"] if face else []
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        centres (float[N, 3, {sides}] image) => ({", ".join(outputs)})
        {{
            low = Conv <kernel_shape = [4, 4], strides = [4, 4]> (image, stem)
            map = Tanh(low)
            logits = Conv(map, heat)
            hm = Sigmoid(logits)
            wh = Conv(map, size)
            reg = Conv(map, move)
            {last}
        }}"""
    own = constants(face=face)
    if not face:
        own.pop("marks")
    onnx.save(parsed(text, own), path)
    return path


def expected(features: Array, *, face: bool) -> tuple[Array, Array]:
    """Edges [places, 4] and logits [places, classes], in float64."""
    wide = {name: one.astype(np.float64) for name, one in constants(face=face).items()}
    made = {
        name: np.einsum("oc,chw->hwo", wide[name][:, :, 0, 0], features)
        for name in ("heat", "size", "move")
    }
    rows, columns = np.indices(features.shape[1:])
    size, move = made["size"], made["move"]
    if face:  # the height first, logarithms, from the middle of a cell
        width, height = np.exp(size[..., 1]) * STRIDE, np.exp(size[..., 0]) * STRIDE
        x, y = (columns + 0.5 + move[..., 1]) * STRIDE, (rows + 0.5 + move[..., 0]) * STRIDE
    else:
        width, height = size[..., 0] * STRIDE, size[..., 1] * STRIDE
        x, y = (columns + move[..., 0]) * STRIDE, (rows + move[..., 1]) * STRIDE
    edges = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)
    return edges.reshape(-1, 4), made["heat"].reshape(-1, made["heat"].shape[-1])


@pytest.mark.parametrize("sides", ["24, 32", "H, W"])
@pytest.mark.parametrize("face", [True, False], ids=["CenterFace", "CenterNet"])
def test_boxes_scores_and_gradients_are_those_of_the_formula(
    tmp_path: Path, face: bool, sides: str
) -> None:
    plain, path = write(tmp_path / "plain.onnx", face=face, sides=sides), tmp_path / "m.onnx"
    record = export(plain, path, layers="map", verify="off").spec.detector
    assert record is not None
    assert (record.format, record.final) == ("centres", False)
    assert [one.stride for one in record.levels] == [[4.0, 4.0]]
    image = np.random.default_rng(1).standard_normal((2, 3, *SIDES)).astype(np.float32)
    boxes = [0, 13, 47]
    asked = {
        "box_index": np.repeat(boxes, 5)[None],
        "class_index": np.zeros((1, 15), np.int64),
        "box_target": np.tile(np.arange(5), 3)[None],
    }
    found = results(open_session(path), {"image": image, **asked})
    step = 1e-6
    for row in range(2):
        features = found["activations"][row].astype(np.float64)
        edges, logits = expected(features, face=face)
        np.testing.assert_allclose(found["all_boxes"][row], edges, atol=1e-4)
        probable = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(found["all_scores"][row], probable, atol=1e-6)
        slopes = np.empty((15, *features.shape))
        for place in np.ndindex(features.shape):
            sides_ = list[Array]()
            for sign in (1, -1):
                moved = features.copy()
                moved[place] += sign * step
                now, scores = expected(moved, face=face)
                sides_.append(np.concatenate([scores[:, :1], now], 1)[boxes].ravel())
            slopes[:, *place] = (sides_[0] - sides_[1]) / (2 * step)
        np.testing.assert_allclose(found["gradients"][row], slopes, atol=1e-4)


def test_names_tell_sizes_from_offsets(tmp_path: Path) -> None:
    image = np.random.default_rng(1).standard_normal((1, 3, *SIDES)).astype(np.float32)
    found = list[Array]()
    for swapped in (False, True):
        plain, path = tmp_path / f"{swapped}.onnx", tmp_path / f"m{swapped}.onnx"
        export(write(plain, face=False, swapped=swapped), path, layers="map", verify="off")
        found.append(results(open_session(path), {"image": image})["all_boxes"])
    np.testing.assert_array_equal(*found)


def test_the_extents_of_an_example_may_be_replaced_where_the_file_runs_with_others(
    tmp_path: Path,
) -> None:
    """A file that says batches of two images of 24 x 32, which its nodes do not need."""
    plain, path = write(tmp_path / "plain.onnx", face=True), tmp_path / "m.onnx"
    proto = onnx.load(plain)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(proto, plain)
    noted = export(plain, tmp_path / "as_is.onnx", layers="map", verify="off").notes
    assert any("takes 2 images of 3x24x32 at once" in note for note in noted)
    spec = export(plain, path, layers="map", verify="off", shapes=[1, 3, 16, 48]).spec
    assert spec.layers[0].grid == [4, 12]
    image = np.zeros((1, 3, 16, 48), np.float32)
    assert results(open_session(path), {"image": image})["all_boxes"].shape == (1, 48, 4)


@pytest.mark.parametrize("names", ["hm, wh, reg", "a, b, c"])
def test_a_heat_map_of_logits_is_no_segmentation(names: str, tmp_path: Path) -> None:
    write(tmp_path / "plain.onnx", face=False)
    model = onnx.load(tmp_path / "plain.onnx")
    model.graph.node.remove(next(one for one in model.graph.node if one.op_type == "Sigmoid"))
    renamed = dict(zip(["hm", "wh", "reg"], names.split(", "), strict=True))
    for node in model.graph.node:
        node.output[:] = [{"logits": renamed["hm"], **renamed}.get(n, n) for n in node.output]
    for output in model.graph.output:
        output.name = renamed[output.name]
    raw = tmp_path / "raw.onnx"
    onnx.save(model, raw)
    if names.startswith("a"):
        with pytest.raises(ScoreError, match=r"this looks like a detector .*'a' is a heat map"):
            export(raw, tmp_path / "a.onnx", verify="off")
    found = export(raw, tmp_path / "a.onnx", detector="centres").spec
    plain = export(tmp_path / "plain.onnx", tmp_path / "p.onnx", verify="off").spec
    assert found.detector is not None
    assert plain.detector is not None
    assert found.score.classes == plain.score.classes == 3
    image = np.random.default_rng(1).random((1, 3, *SIDES), np.float32)
    both = [results(open_session(tmp_path / f"{one}.onnx"), {"image": image}) for one in "ap"]
    for name in ("boxes", "scores", "heatmap", "all_scores"):
        np.testing.assert_allclose(both[0][name], both[1][name], rtol=1e-6)
