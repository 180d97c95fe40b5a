"""Models that take images and texts: a text is explained as a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graftcam.exporter import export
from graftcam.exporter.errors import ScoreError
from graftcam.runtime import Explainer
from support.clip_models import SIDE, clip_model, siglip_model
from support.onnx_bytes import onnx_model

LAYER = "vision_model.encoder.layers.2.layer_norm1"
IMAGES = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("images", "texts"), [(2, 3), (1, 2)])
def test_a_model_of_images_and_texts_explains_a_text_as_a_class(
    images: int, texts: int, tmp_path: Path
) -> None:
    model, path = clip_model(), tmp_path / "both.onnx"
    ids = torch.tensor([[1, 5, 9, 3], [1, 8, 4, 3], [1, 7, 6, 3]])[:texts]
    given = {"pixel_values": IMAGES[:images], "input_ids": ids}
    given["attention_mask"] = torch.ones_like(ids)
    report = export(model, path, given, output="logits_per_image")
    assert report.verification.verdict == "pass"
    assert list(report.layers) == [LAYER]
    one = {name: value.numpy() for name, value in given.items()}
    found = Explainer(path).explain({**one, "pixel_values": IMAGES[0].numpy()}, [1, 0])
    with torch.no_grad():
        expected = model(**{**given, "pixel_values": IMAGES[:1]}).logits_per_image[0]
    np.testing.assert_allclose(found.scores, expected[[1, 0]], rtol=1e-4)
    np.testing.assert_allclose(found.probabilities, expected.softmax(0), rtol=1e-3)


def test_siglips_texts_have_a_probability_each(tmp_path: Path) -> None:
    model, path = siglip_model(), tmp_path / "both.onnx"
    given = {"pixel_values": IMAGES, "input_ids": torch.arange(4, 52).reshape(3, 16)}
    report = export(model, path, given, output="logits_per_image", verify="off")
    assert report.spec.score.activation == "sigmoid"
    one = {"pixel_values": IMAGES[0].numpy(), "input_ids": given["input_ids"].numpy()}
    with torch.no_grad():
        expected = model(**{**given, "pixel_values": IMAGES[:1]}).logits_per_image[0]
    found = Explainer(path).explain(one, [0])
    np.testing.assert_allclose(found.probabilities, expected.sigmoid(), rtol=1e-3)


def test_as_many_texts_as_images_are_refused_with_the_remedy(tmp_path: Path) -> None:
    ids = torch.tensor([[1, 5, 9, 3], [1, 8, 4, 3]])
    given = {"pixel_values": IMAGES, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with pytest.raises(ScoreError, match="give example inputs with another number of them"):
        export(clip_model(), tmp_path / "m.onnx", given, output="logits_per_image")


TOWERS = """<ir_version: 8, opset_import: ["" : 18]>
    towers (float[N, 3, 32, 32] image, int64[{texts}, 9] ids)
     => (float[N, {texts}] logits, float[N, 6] image_embeds, float[{texts}, 6] text_embeds)
    {{
        sums = Conv <strides = [8, 8]> (image, kernel)
        features = Relu(sums)
        pooled = GlobalAveragePool(features)
        flat = Flatten(pooled)
        image_embeds = MatMul(flat, weights)
        rows = Gather(table, ids)
        hidden = MatMul(rows, square)
        normed = LayerNormalization(hidden, ones, zeros)
        text_embeds = ReduceMean <keepdims = 0> (normed, middle)
        turned = Transpose <perm = [1, 0]> (text_embeds)
        logits = MatMul(image_embeds, turned)
    }}"""


def write_towers(path: Path, texts: str) -> Path:
    draw = np.random.default_rng(0).standard_normal
    constants = {
        "kernel": draw((5, 3, 8, 8), np.float32), "weights": draw((5, 6), np.float32),
        "table": draw((64, 6), np.float32), "square": draw((6, 6), np.float32),
        "middle": np.array([1]), "ones": np.ones(6, np.float32), "zeros": np.zeros(6, np.float32),
    }  # fmt: skip
    path.write_bytes(onnx_model(TOWERS.format(texts=texts), constants))
    return path


def test_a_file_of_two_towers_is_explained_at_a_layer_of_the_image(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    open_texts = write_towers(tmp_path / "open.onnx", "T")
    with pytest.raises(ScoreError, match=r"of a file, fix their number with shapes"):
        export(open_texts, path, output="logits")
    report = export(open_texts, path, output="logits", shapes={"ids": (3, 9)})
    assert list(report.layers) == ["features"]
    assert report.spec.score.classes == 3
    assert report.verification.verdict == "pass"
    report = export(write_towers(tmp_path / "three.onnx", "3"), path)
    assert (report.spec.score.output, list(report.layers)) == ("logits", ["features"])
    report = export(open_texts, path, score="similarity", scale=9, shapes={"ids": (3, 9)})
    assert report.spec.score.output == "image_embeds"
