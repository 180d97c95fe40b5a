"""The browser page's scripts for boxes, in Node.js: they find and explain what the runtime does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import graftcam.runtime.inputs
from graftcam.runtime import Explainer
from graftcam.runtime.boxes.decode import decode
from graftcam.runtime.boxes.geometry import share_inside, to_image
from graftcam.runtime.boxes.suppress import suppress
from graftcam.runtime.inputs.preprocess import Placement, resize
from graftcam.runtime.spec.detector import BoxEntries, Detector
from support.browser import need
from support.node_ort import run_node, write_module
from support.paths import ROOT
from support.small_detector import export_detector, write_scene

PAGE = ROOT / "runtime" / "page" / "files"
SIZE = (48, 64)
RECORD: dict[str, Any] = {
    "format": "dense", "task": "detect", "box_index": "box_index", "box_target": "box_target",
    "boxes": "boxes", "heatmap": "heatmap", "box_layout": "cxcywh", "box_units": "pixels",
    "activated": True, "levels": [], "evidence": [],
}  # fmt: skip


@pytest.fixture
def node() -> str:
    program = shutil.which("node")
    need(program, "node")
    return str(program)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The page's scripts, and ONNX Runtime as Node.js can run it."""
    folder = tmp_path / "site" / "page"
    folder.mkdir(parents=True)
    inputs = Path(graftcam.runtime.inputs.__file__).parent
    for file in [*PAGE.glob("*.js"), *inputs.glob("resize_*.onnx")]:
        shutil.copy(file, folder)
    write_module(folder.parent)
    return folder


def entries(output: str, axis: int, first: int, count: int) -> list[BoxEntries]:
    return [BoxEntries(output, axis, first, count)]


def cases() -> list[tuple[Detector, dict[str, np.ndarray], str]]:
    """A record of each kind, with outputs."""
    random = np.random.default_rng(5)
    boxes = random.uniform(5, 40, (1, 30, 4)).astype(np.float32)
    boxes[0, 3] = np.nan
    logits = random.normal(0, 2, (1, 30, 3)).astype(np.float32)
    there = random.normal(0, 2, (1, 30, 1)).astype(np.float32)
    shares = 1 / (1 + np.exp(-logits))
    made: list[tuple[dict[str, Any], list[np.ndarray], str]] = [
        # Channels first, probabilities.
        ({"box_entries": entries("o0", 2, 0, 4), "score_entries": entries("o0", 2, 4, 3)},
         [np.concatenate([boxes, shares], 2).swapaxes(1, 2)], "sigmoid"),
        # With objectness, logits.
        ({"box_entries": entries("o0", 1, 0, 4), "score_entries": entries("o0", 1, 5, 3),
          "objectness_entries": entries("o0", 1, 4, 1), "activated": False},
         [np.concatenate([boxes, there, logits], 2)], "sigmoid"),
        # Queries: softmax with a class that means nothing, shares of the input.
        ({"box_entries": entries("o0", 1, 0, 4), "score_entries": entries("o1", 1, 0, 3),
          "box_units": "unit", "activated": False, "no_object": True, "final": True},
         [boxes / 50, logits], "softmax"),
        # Slots: corners, one score, a class.
        ({"box_entries": entries("o0", 1, 0, 4), "score_entries": entries("o0", 1, 4, 1),
          "class_entries": entries("o0", 1, 5, 1), "box_layout": "xyxy", "final": True},
         [np.concatenate([boxes, shares[..., :1], np.round(there) ** 2], 2)], "sigmoid"),
        # Two levels.
        ({"box_entries": [*entries("o0", 1, 0, 4), *entries("o1", 1, 0, 4)],
          "score_entries": [*entries("o2", 2, 0, 3), *entries("o3", 2, 0, 3)]},
         [boxes[:, :20], boxes[:, 20:], shares[:, :20].swapaxes(1, 2),
          shares[:, 20:].swapaxes(1, 2)], "sigmoid"),
    ]  # fmt: skip
    return [
        (Detector(**{**RECORD, **changes}), {f"o{i}": one for i, one in enumerate(arrays)}, how)
        for changes, arrays, how in made
    ]


def plain(value: Any) -> Any:
    """A record as JSON."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return vars(value) if isinstance(value, BoxEntries) else value


def test_boxes_of_every_format_are_the_runtimes(node: str, site: Path) -> None:
    placement = Placement((90, 110), (40, 64), (-4, 0), SIZE)
    grid = np.random.default_rng(2).normal(0.4, 1, (6, 8)).astype(np.float32)
    given = [
        {
            "detector": {name: plain(value) for name, value in vars(detector).items()
                         if value is not None},
            "outputs": {name: {"dims": one.shape, "data": [f"{x:.9g}" for x in one.ravel()]}
                        for name, one in outputs.items()},
            "activation": how,
        }
        for detector, outputs, how in cases()
    ]  # fmt: skip
    got = run_node(
        node, site,
        """
        import { decode, shareInside, suppress, toImage } from "./boxes.js";
        print(given.cases.map(({ detector, outputs, activation }) => {
          const found = decode(detector, outputs, given.size, activation);
          const kept = suppress(found, detector.final);
          const corners = kept.map((box) => found.corners.subarray(4 * box, 4 * box + 4));
          return {
            scores: [...found.scores], ids: [...found.ids], kept,
            few: suppress(found, detector.final, 0.3, 0.2, 2),
            corners: corners.map((one) => [...one]),
            image: corners.map((one) => toImage(one, given.placement)),
            shares: corners.map((one) =>
              shareInside(Float32Array.from(given.map), [6, 8], one, given.size)),
          };
        }));
        """,
        {"cases": given, "size": SIZE, "map": grid.ravel().tolist(), "placement": vars(placement)},
    )  # fmt: skip
    for (detector, outputs, how), page in zip(cases(), got, strict=True):
        boxes = decode(detector, outputs, SIZE, how)
        scores, ids = boxes.best(0)
        np.testing.assert_allclose(page["scores"], scores, rtol=1e-5)
        np.testing.assert_array_equal(page["ids"], ids)
        corners = boxes.corners[0]
        kept, few = (
            suppress(corners, scores, ids, conf, iou, limit, final=detector.final)
            for conf, iou, limit in ((0.25, 0.45, 300), (0.3, 0.2, 2))
        )
        assert page["kept"] == kept.tolist()
        assert page["few"] == few.tolist()
        assert 5 < len(kept) < 30
        np.testing.assert_allclose(page["corners"], corners[kept], rtol=1e-5)
        np.testing.assert_allclose(page["image"], to_image(corners[kept], placement), atol=1e-3)
        for share, four in zip(page["shares"], corners[kept], strict=True):
            assert share == pytest.approx(share_inside(grid, tuple(four), SIZE), abs=1e-6)


SIZES = [((512, 512), (320, 320)), ((300, 640), (150, 320)), ((37, 53), (64, 91)),
         ((10, 7), (3, 20)), ((1, 9), (4, 4))]  # fmt: skip


def test_a_resize_without_antialiasing_is_opencvs(node: str, site: Path) -> None:
    """All that exporters of the YOLO family write is trained so."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size, _ in SIZES]
    got = run_node(
        node, site,
        """
        import { plainBilinear } from "./plain_resize.js";
        print(given.map(([planes, from, to]) =>
          [...plainBilinear(Uint8Array.from(planes), from, to, 3)]));
        """,
        [[image.transpose(2, 0, 1).ravel().tolist(), *sizes]
         for image, sizes in zip(images, SIZES, strict=True)],
    )  # fmt: skip
    for image, (_, to), planes in zip(images, SIZES, got, strict=True):
        expected = resize(image.transpose(2, 0, 1), to, "bilinear", antialias=False)
        off = np.abs(np.reshape(planes, expected.shape) - expected.astype(int))
        # Equal here; OpenCV's own code differs by a level between kinds of processors.
        assert off.max() <= 1
        assert (off > 0).mean() < 0.01


def test_the_page_detects_and_explains_a_box_and_its_edges(
    node: str, site: Path, tmp_path: Path
) -> None:
    """Six runs of a session, each a process."""
    web = export_detector(site / "model.onnx", profile="web")
    photo = write_scene(
        tmp_path / "photo.png", ("red", 32, 0, 32), ("blue", 80, 48, 16), shape=(64, 128)
    )
    pixels = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGBA)
    height, width = pixels.shape[:2]
    got = run_node(
        node, site,
        """
        import { Artifact } from "./artifact.js";
        const { width, height } = given;
        const image = { pixels: Uint8ClampedArray.from(given.pixels), height, width };
        const bytes = new Uint8Array(readFileSync(new URL("model.onnx", import.meta.url)));
        const artifact = await Artifact.open(bytes, "wasm");
        const { boxes, best } = await artifact.detect(image, 0.1);
        const [whole, top] = [
          await artifact.explainBox(image, boxes[0]), await artifact.explainBox(image, boxes[0], 2),
        ];
        print({
          boxes, best, detects: artifact.detects,
          whys: [whole, top].map(({ map, grid, score, share, label }) =>
            ({ map: [...map], grid, score, share, label })),
        });
        """,
        {"pixels": pixels.ravel().tolist(), "width": width, "height": height},
    )  # fmt: skip
    found = Explainer(web, "cpu").explain_boxes(photo, boxes=1, why=["class", "top"], conf=0.1)
    assert got["detects"]
    assert len(got["boxes"]) == len(found.detections) > 2
    for one, expected in zip(got["boxes"], found.detections, strict=True):
        assert (one["index"], one["class"], one["label"]) == (
            expected.index, expected.class_id, expected.label,
        )  # fmt: skip
        np.testing.assert_allclose(one["corners"], expected.box, atol=1e-3)
        assert one["probability"] == pytest.approx(expected.score, rel=1e-4)
    assert got["best"]["index"] == found.detections.best.index
    for position, why in enumerate(got["whys"]):
        raw = found.maps[position]
        np.testing.assert_allclose(
            np.reshape(why["map"], why["grid"]), raw, atol=1e-4 * np.abs(raw).max()
        )
        assert why["score"] == pytest.approx(found.scores[position], rel=1e-4)
        assert why["share"] == pytest.approx(found.shares[position], abs=1e-4)


def test_the_node_example_explains_the_best_box(node: str, site: Path, tmp_path: Path) -> None:
    """Its package, onnxruntime-node, has the classes of onnxruntime-web."""
    web = export_detector(site / "model.onnx", profile="web")
    (site / "explain").mkdir()
    example = (ROOT / "examples" / "node" / "explain.js").read_text()
    example = example.replace('import ort from "onnxruntime-node"',
                              'import * as ort from "../../ort/ort.wasm.min.mjs"')  # fmt: skip
    (site / "explain" / "explain.js").write_text(
        example.replace("../../runtime/page/files/", "../")
    )
    (site / "package.json").write_text('{"type": "module"}')
    photo = cv2.imread(str(write_scene(tmp_path / "photo.png", ("red", 16, 16, 16))))
    pixels = (photo[..., ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)
    pixels.tofile(tmp_path / "pixels.f32")
    done = subprocess.run(
        [node, site / "explain" / "explain.js", web, tmp_path / "pixels.f32"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    explainer = Explainer(web, "cpu")
    found, record = explainer.run(pixels), explainer.spec.detector
    printed = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert printed["class"] == ["0", "red"]
    np.testing.assert_allclose(
        [float(side) for side in printed["box"]], found[record.boxes][0, 0], rtol=1e-4
    )
    assert float(printed["heatmap"][-1]) == pytest.approx(found[record.heatmap].max(), rel=1e-4)
