"""Concepts: what a layer's activations consist of, on a model of three colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Concepts, Explainer
from graftcam.runtime.errors import InputError, RenderError
from support.artifacts import LABELS, SCENE, WEIGHTS, write_artifact, write_two_layers
from support.artifacts_nd import write_signal
from support.box_artifacts import write_detector
from support.cli import refuse, succeed
from support.images import read_rgb


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_artifact(tmp_path_factory.mktemp("model") / "m.onnx"))


@pytest.fixture(scope="module")
def found(explainer: Explainer) -> Concepts:
    """Three concepts, as many as there are colours, in a scene and its mirror image."""
    return explainer.concepts([SCENE, np.ascontiguousarray(SCENE[:, ::-1])], 3, top=4)


def activations_of(found: Concepts) -> np.ndarray:
    """What concepts and strengths say of the activations, [N, C, h, w]."""
    return np.einsum("nrhw,rc->nchw", np.stack([one.maps for one in found]), found.vectors)


def test_maps_and_vectors_are_the_activations(explainer: Explainer, found: Concepts) -> None:
    tensors: list[np.ndarray] = []
    run = explainer._session.run

    def watched(feeds: Any, names: Any) -> Any:
        got = run(feeds, names)
        tensors.append(got["activations"])
        return got

    explainer._session.run = watched  # pyright: ignore[reportAttributeAccessIssue]
    try:
        fewer = explainer.concepts([SCENE, np.ascontiguousarray(SCENE[:, ::-1])], 2)
        again = explainer.concepts([SCENE, np.ascontiguousarray(SCENE[:, ::-1])], 3)
    finally:
        explainer._session.run = run  # pyright: ignore[reportAttributeAccessIssue]
    truth = tensors[0]
    made = activations_of(fewer)
    assert made.shape == truth.shape
    distance = np.linalg.norm(made - truth) / np.linalg.norm(truth)
    np.testing.assert_allclose(fewer.error, distance, rtol=1e-4)
    np.testing.assert_allclose(activations_of(again), truth, atol=0.01)
    np.testing.assert_array_equal(again.vectors, found.vectors)


def test_a_concept_speaks_for_the_class_of_its_colour(found: Concepts) -> None:
    assert [len(one.maps) for one in found] == [3, 3]
    colours = found.vectors.argmax(axis=1)
    for one in found:
        assert one.labels[:2] == ["red", "green"]
        for concept, colour in enumerate(colours):
            if found.vectors[concept, colour] > 2 * np.sort(found.vectors[concept])[-2]:
                classes = [one.labels.index(name) for name in LABELS[:3]]
                assert one.effects[concept, classes].argmax() == colour
    left, right = (one.maps.argmax(axis=0) for one in found)
    np.testing.assert_array_equal(left, right[:, ::-1])  # one concept, in both images


def test_effects_are_the_scores_gradient_times_each_concept(found: Concepts) -> None:
    """Behind a mean and a linear layer they add up to the score, which has no bias here."""
    for one in found:
        weights = np.array(WEIGHTS)[one.classes]
        strength = one.maps.mean((1, 2))
        expected = strength[:, None] * (found.vectors @ weights.T)
        np.testing.assert_allclose(one.effects, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.effects.sum(axis=0), one.scores, atol=0.02)


def test_what_is_negative_is_refused_or_clipped(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = explainer._session.run

    def lower(feeds: Any, names: Any) -> Any:
        got = run(feeds, names)
        return {**got, "activations": got["activations"] - np.float32(0.3)}

    monkeypatch.setattr(explainer._session, "run", lower)
    with pytest.raises(InputError, match=r"down to -0\.\d+.*behind a ReLU, or .*clip=True"):
        explainer.concepts(SCENE, 2)
    found = explainer.concepts(SCENE, 2, clip=True)
    assert 0 < found.clipped < 1
    assert (found.vectors >= 0).all()

    def constant(number: float) -> Any:
        def run_constant(feeds: Any, names: Any) -> Any:
            got = run(feeds, names)
            return {**got, "activations": np.full_like(got["activations"], number)}

        return run_constant

    for number, message in ((0.0, "no activation above 0"), (np.nan, "are not finite")):
        monkeypatch.setattr(explainer._session, "run", constant(number))
        with pytest.raises(InputError, match=message):
            explainer.concepts(SCENE, 2)


def test_what_does_not_fit_is_refused(explainer: Explainer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"=4: layer .* 3 channels here; give 3 or fewer"):
        explainer.concepts(SCENE, 4)
    with pytest.raises(InputError, match="components"):
        explainer.concepts(SCENE, 0)
    with pytest.raises(InputError, match="no images"):
        explainer.concepts([], 2)
    two = Explainer(write_two_layers(tmp_path / "two.onnx"))
    with pytest.raises(InputError, match="one layer"):
        two.concepts(SCENE, 2, layer=["fine", "coarse"])  # pyright: ignore[reportArgumentType]
    assert two.concepts(SCENE, 2, layer="coarse").layer == "coarse"
    boxes = Explainer(write_detector(tmp_path / "boxes.onnx"))
    with pytest.raises(InputError, match="explains a detector's boxes"):
        boxes.concepts(SCENE, 2)


def test_they_are_drawn_and_saved(found: Concepts, tmp_path: Path) -> None:
    drawn = found.draw(1, height=120)
    assert drawn.dtype == np.uint8
    plain = found[1].view.plain(120)
    assert any(
        np.array_equal(drawn[top : top + 120, 16 : 16 + plain.shape[1]], plain)
        for top in range(drawn.shape[0] - 119)
    )
    files = found.save(tmp_path / "out")
    assert [file.name for file in files] == [
        "concepts.json", "concepts.npz", "image-concepts.png", "image-2-concepts.png",
    ]  # fmt: skip
    record = json.loads(files[0].read_text())
    assert record["components"] == 3
    assert record["images"][1]["classes"][0]["label"] == "red"
    assert np.array(record["images"][0]["effects"]).shape == (3, 4)
    with np.load(files[1]) as arrays:
        np.testing.assert_array_equal(arrays["vectors"], found.vectors)
        np.testing.assert_array_equal(arrays["maps.image-2"], found[1].maps)
    assert read_rgb(files[2]).shape[2] == 3


def test_a_signal_has_concepts_too(tmp_path: Path) -> None:
    explainer = Explainer(write_signal(tmp_path / "signal.onnx", channels=2))
    signal = np.abs(np.random.default_rng(0).standard_normal((2, 64))).astype(np.float32)
    found = explainer.concepts(signal, 1)
    assert found[0].maps.ndim == 2
    assert found.draw().shape[2] == 3


def test_an_input_is_never_replaced(explainer: Explainer, tmp_path: Path) -> None:
    photo = tmp_path / "a-concepts.png"
    cv2.imwrite(str(photo), SCENE[:, :, ::-1])
    found = explainer.concepts(str(photo), 2)
    (tmp_path / "a.png").write_bytes(photo.read_bytes())
    other = explainer.concepts([str(tmp_path / "a.png"), str(photo)], 2)
    assert found.save(tmp_path)[2].name == "a-concepts-concepts.png"
    before = photo.read_bytes()
    with pytest.raises(RenderError, match=r"a-concepts\.png"):
        other.save(tmp_path)
    assert photo.read_bytes() == before


def test_the_command_writes_and_says_what_it_found(explainer: Explainer, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("one", "two"):
        cv2.imwrite(str(photos / f"{name}.png"), SCENE[:, :, ::-1])
    out = tmp_path / "out"
    said = succeed(
        "concepts", explainer.path, photos, "-o", out, "--components", 2, "--class", "red",
        "--class", "green",
    ).stdout  # fmt: skip
    assert "2 concepts of layer features.0 in 2 images" in said
    assert "one-concepts.png" in said
    assert "red +" in said
    result = succeed("concepts", explainer.path, photos / "one.png", "-o", out, "--json",
                     "--components", 1)  # fmt: skip
    assert "components" in json.loads(result.stdout)
    message = refuse("concepts", explainer.path, photos, "-o", out, "--components", 9)
    assert "give 3 or fewer" in message
