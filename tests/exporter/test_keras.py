"""Keras 3 on the PyTorch backend: layers by their Keras names, channels last, ending in softmax."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam.exporter import LayerError, candidates_of, export
from graftcam.runtime import Explainer
from graftcam.runtime.spec import Preprocess

EXAMPLE = (torch.zeros(1, 24, 20, 3),)
TRANSFORM = Preprocess(
    "", [24, 20], [24, 20], "exact", "bilinear", 1 / 255, [0.5] * 3, [0.5] * 3, "nhwc"
)


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    # Keras reads both when it is imported; it writes its configuration where KERAS_HOME says.
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", os.environ.get("KERAS_HOME", home))
        keras = pytest.importorskip("keras")
        keras.utils.set_random_seed(0)
        yield keras


@pytest.fixture(scope="module")
def model(keras: Any) -> Any:
    """A small relative of Xception: separable convolutions, a residual sum, "same" pools."""
    layers = keras.layers
    image = keras.Input((24, 20, 3))
    stem = layers.Conv2D(8, 3, padding="same", name="stem", activation="relu")(image)
    x = layers.SeparableConv2D(8, 3, padding="same", use_bias=False, name="block1_conv")(stem)
    x = layers.BatchNormalization(name="block1_bn")(x)
    x = layers.Activation("relu", name="block1_act")(x)
    x = layers.Add(name="block1_sum")([x, stem])
    x = layers.SeparableConv2D(12, 3, padding="same", use_bias=False, name="block2_conv")(x)
    x = layers.Activation("relu", name="block2_act")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.Model(image, layers.Dense(5, activation="softmax", name="predictions")(x))


def test_layers_go_by_their_keras_names_the_automatic_choice_first(model: Any) -> None:
    found = candidates_of(model, EXAMPLE)
    assert [c.name for c in found if c.usable] == [
        "block2_act", "block2_conv", "block1_sum", "block1_act", "block1_bn", "block1_conv", "stem",
    ]  # fmt: skip
    with pytest.raises(LayerError, match="'block2_relu'; did you mean block2_"):
        export(model, "unused.onnx", EXAMPLE, layers="block2_relu", verify="off")


def test_an_artifact_agrees_with_autograd_and_explains_images(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "keras.onnx"
    layers = ["block2_act", "block1_conv"]
    report = export(model, path, EXAMPLE, layers=layers, preprocess=TRANSFORM)
    assert [(x.layout, x.grid) for x in report.spec.layers] == [("channels_last", [24, 20])] * 2
    assert report.spec.score.kind == "logit"
    assert report.spec.score.activated
    assert report.verification.reference == "autograd-float64"
    assert max(report.verification.errors.values()) < 1e-5
    image = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    found = Explainer(path, "cpu").explain(image, [0, 4], layer="block1_conv")
    assert found.maps.shape == (2, 24, 20)
    resized = Explainer(path, "cpu").explain(image[::2, ::2], top=1)
    expected = model(torch.from_numpy(image[::2, ::2] / 127.5 - 1)[None].float())
    np.testing.assert_allclose(resized.output, expected[0].detach().numpy(), rtol=1e-4)


def test_a_model_inside_a_model_and_a_sequential_one(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    body = keras.Sequential(
        [layers.Conv2D(6, 3, name="deep"), layers.LayerNormalization(name="norm")], name="body"
    )
    model = keras.Sequential(
        [keras.Input((24, 20, 3)), body, layers.Flatten(), layers.Dense(4, name="logits")]
    )
    report = export(model, tmp_path / "m.onnx", EXAMPLE)
    assert list(report.layers) == ["norm"]
    report = export(model, tmp_path / "m.onnx", EXAMPLE, layers="deep")
    assert (report.spec.layers[0].layout, report.spec.layers[0].grid) == ("channels_last", [22, 18])
