"""The addresses below /api answer as `Explainer.explain` does."""

from __future__ import annotations

import base64
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime import Explainer
from support.artifacts import LABELS, SCENE, write_segmenter
from support.served import explain, picture, served, write_models
from support.small_detector import write_scene
from support.three_heads import LABELS as LABELS_OF_HEADS
from support.three_heads import export_heads


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    found = {
        **write_models(folder),
        "segments": write_segmenter(folder / "segments.onnx"),
        "heads": folder / "heads.onnx",
    }
    export_heads(found["heads"], labels=LABELS_OF_HEADS)
    return found


@pytest.fixture(scope="module")
def client(models: dict[str, Path]) -> Generator[TestClient]:
    with served(**models) as made:
        yield made


def raw_map(entry: dict[str, Any]) -> np.ndarray:
    data = base64.b64decode(entry["map"]["data"])
    return np.frombuffer(data, "<f4").reshape(entry["map"]["shape"])


def pixels(text: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)


def test_an_answer_is_what_the_explainer_gives(client: TestClient, models: dict[str, Path]) -> None:
    found = explain(client, **{"class": ["red", "2"]}).json()
    truth = Explainer(models["patches"], "cpu").explain(SCENE, ["red", 2])
    assert [one["label"] for one in found["explanations"]] == ["red", "blue"]
    for position, entry in enumerate(found["explanations"]):
        np.testing.assert_array_equal(raw_map(entry), truth.maps[position])
        assert entry["score"] == pytest.approx(float(truth.scores[position]))
        assert entry["probability"] == pytest.approx(truth.probability(position))
        assert entry["maximum"] == pytest.approx(float(truth.maps[position].max()))
        assert entry["empty"] == (truth.status[position] != "ok")
        assert entry["box"] is None
    assert found["image"] == {"name": "image", "width": SCENE.shape[1], "height": SCENE.shape[0]}
    best = [one["label"] for one in found["predictions"]]
    assert best == [LABELS[i] for i in np.argsort(-truth.probabilities)]
    assert found["batch"] == 1
    assert found["milliseconds"] > 0


def test_a_form_and_a_body_alone_ask_the_same(client: TestClient) -> None:
    alone = explain(client, top=2).json()
    form = client.post(
        "/api/models/patches/explain", data={"top": "2"},
        files={"image": ("holiday/beach.png", picture(), "image/png")},
    ).json()  # fmt: skip
    assert form["image"]["name"] == "beach"
    assert form["explanations"] == alone["explanations"]
    mixed = client.post(
        "/api/models/patches/explain?top=2", files={"image": ("x.png", picture())}
    ).json()
    assert mixed["explanations"] == alone["explanations"]


def test_drawings_come_if_they_are_asked_for(client: TestClient, models: dict[str, Path]) -> None:
    plain = explain(client).json()
    assert "overlay" not in plain["explanations"][0]
    found = explain(client, images=["heatmap", "overlay", "panel"], style="contour").json()
    truth = Explainer(models["patches"], "cpu").explain(SCENE)
    entry = found["explanations"][0]
    heatmap = pixels(entry["heatmap"])
    assert heatmap.shape == SCENE.shape[:2]
    np.testing.assert_allclose(heatmap, truth.heatmap(0) * 255, atol=0.5 + 1e-4)
    np.testing.assert_array_equal(pixels(entry["overlay"])[:, :, ::-1], truth.draw(style="contour"))
    np.testing.assert_array_equal(pixels(found["panel"])[:, :, ::-1], truth.panel(style="contour"))


def test_the_grey_of_a_signed_map_without_evidence_is_128(
    client: TestClient, models: dict[str, Path]
) -> None:
    found = explain(client, images="heatmap", method="cam", **{"class": "empty"}).json()
    entry = found["explanations"][0]
    assert entry["signed"]
    assert entry["minimum"] < 0
    truth = Explainer(models["patches"], "cpu").explain(SCENE, "empty", method="cam").heatmap(0)
    assert truth.min() < -0.5
    grey = pixels(entry["heatmap"])
    np.testing.assert_allclose(grey, truth * 127 + 128, atol=0.5 + 1e-4)
    assert (grey[truth == 0] == 128).all()


def test_the_place_is_where_the_grid_lies_in_the_image(client: TestClient) -> None:
    height, width = SCENE.shape[:2]
    x0, y0, x1, y1 = explain(client).json()["explanations"][0]["place"]
    # The shorter side becomes 40 pixels, of which the middle 32 are seen.
    scale = min(height, width) / 40
    assert (x1 - x0, y1 - y0) == pytest.approx((32 * scale, 32 * scale), rel=0.05)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((width / 2, height / 2), abs=scale)


def test_an_overlay_alone_is_a_png(client: TestClient, models: dict[str, Path]) -> None:
    answer = client.post(
        "/api/models/patches/explain", content=picture(), params={"class": "green"},
        headers={"Content-Type": "image/png", "Accept": "image/png"},
    )  # fmt: skip
    assert answer.headers["content-type"] == "image/png"
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    truth = Explainer(models["patches"], "cpu").explain(SCENE, "green").draw()
    np.testing.assert_array_equal(drawn, truth)


def test_layers_are_chosen_and_fused(client: TestClient) -> None:
    one = explain(client, "layers", layer="coarse").json()["explanations"][0]
    assert (one["layer"], one["map"]["shape"]) == ("coarse", [2, 4])
    both = explain(client, "layers", layer=["fine", "coarse"]).json()["explanations"][0]
    assert both["layer"] == "mean of fine, coarse"


def test_methods_take_their_options(client: TestClient) -> None:
    found = explain(client, method="rise", option=["masks=8", "grid=3"]).json()
    assert found["explanations"][0]["method"] == "rise"
    assert found["explanations"][0]["signed"]


def test_a_segmentation_has_maps_and_no_list_of_predictions(client: TestClient) -> None:
    found = explain(client, "segments", **{"class": "red"}).json()
    assert found["predictions"] == []
    assert found["explanations"][0]["label"] == "red"


def test_boxes_of_a_detector(client: TestClient, models: dict[str, Path], tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.png", ("red", 8, 8, 8), ("blue", 32, 32, 16))
    found = explain(client, "boxes", scene.read_bytes(), images="overlay").json()
    truth = Explainer(models["boxes"], "cpu").explain_boxes(scene)
    assert [one["label"] for one in found["detections"]] == [one.label for one in truth.detections]
    assert len(truth.detections) >= 2
    assert len(found["explanations"]) == len(truth)
    for entry, box in zip(found["explanations"], truth, strict=True):
        np.testing.assert_array_equal(raw_map(entry), box.map)
        assert entry["box"] == pytest.approx(box.box, abs=0.01)
        assert pixels(entry["overlay"]).shape == (*truth.image.shape[:2], 3)
    one = explain(client, "boxes", scene.read_bytes(), box="2", why="left", conf="0.2").json()
    assert [entry["number"] for entry in one["explanations"]] == [2]
    assert one["explanations"][0]["why"] == "left"


def test_the_best_candidate_where_no_box_reaches_the_threshold(
    client: TestClient, models: dict[str, Path], tmp_path: Path
) -> None:
    scene = write_scene(tmp_path / "scene.png", ("red", 8, 8, 8))
    plain = explain(client, "boxes", scene.read_bytes(), conf=0.9995).json()
    assert (plain["detections"], plain["explanations"], plain["near_miss"]) == ([], [], False)
    assert (plain["best"]["label"], plain["best"]["number"]) == ("red", 1)
    assert 0 < plain["best"]["score"] < 0.9995
    near = explain(client, "boxes", scene.read_bytes(), conf=0.9995, near_miss="true").json()
    truth = Explainer(models["boxes"], "cpu").explain_boxes(scene, conf=0.9995, near_miss=True)
    assert (near["near_miss"], near["detections"]) == (True, [plain["best"]])
    np.testing.assert_array_equal(raw_map(near["explanations"][0]), truth.maps[0])
    found = explain(client, "boxes", scene.read_bytes(), near_miss="true").json()
    assert (found["near_miss"], found["best"]) == (False, found["detections"][0])


def test_models_are_described(client: TestClient, models: dict[str, Path]) -> None:
    listed = client.get("/api/models").json()["models"]
    assert [one["name"] for one in listed] == ["patches", "layers", "boxes", "segments", "heads"]
    kinds = [one["kind"] for one in listed]
    assert kinds == ["classes", "classes", "detector", "classes", "classes"]
    one = client.get("/api/models/patches").json()
    assert one == listed[0]
    assert (one["classes"], one["labels"], one["output_labels"]) == (4, LABELS, None)
    assert one["verification"]["verdict"] == Explainer(models["patches"]).spec.verification.verdict
    assert one["limits"]["top"] == 10
    assert (one["input"]["height"], one["input"]["width"]) == (32, 32)
    methods = {method["id"]: method for method in one["methods"]}
    assert methods["gradcam"] == {
        "id": "gradcam", "title": "Grad-CAM", "signed": False, "cost": "one run", "default": True,
    }  # fmt: skip
    assert methods["rise"]["cost"] == "many runs"
    heads = client.get("/api/models/heads").json()
    assert heads["output_labels"] == {
        "gender": ["female", "male"], "age": LABELS_OF_HEADS["age"], "smile": None,
    }  # fmt: skip
    # The artifact has neither gradients of the input nor a head nor attention.
    assert methods.keys().isdisjoint({"saliency", "ablationcam", "rollout"})


def test_methods_that_are_listed_are_served(client: TestClient) -> None:
    for model in ("patches", "layers"):
        for method in client.get(f"/api/models/{model}").json()["methods"]:
            few = {"rise": ["masks=4"], "scorecam": ["channels=1"]}.get(method["id"], [])
            top = {"finercam": 2}.get(method["id"], 1)
            answer = explain(client, model, method=method["id"], option=few, top=top)
            assert answer.status_code == 200, answer.text
            signed = answer.json()["explanations"][0]["signed"]
            assert signed == method["signed"]


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "live"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.service.stopping = True
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        # What was accepted is answered, and its connection ends.
        found = explain(client)
        assert (found.status_code, found.headers["connection"]) == (200, "close")
    finally:
        client.service.stopping = False


def test_answers_have_headers_for_safety(client: TestClient) -> None:
    stored = {client.get("/"): "no-cache"}  # asked again, but not fetched again
    for answer in (*stored, explain(client), client.get("/nothing")):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == stored.get(answer, "no-store")
        assert "access-control-allow-origin" not in answer.headers
