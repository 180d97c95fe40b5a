"""Models of transformers as they come: layer, grid, tokens beside it, and the score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import graftcam
from benchmarks.zoo_transformers import MODELS, build, input_name
from graftcam.exporter.capture.model import layers_and_score
from graftcam.runtime.settings import Score
from support.paths import ROOT

pytest.importorskip("transformers")
PAGE = ROOT / "docs" / "transformers-models.md"


def rows() -> dict[str, Sequence[str]]:
    """The cells of the page's first table, without code marks, by model."""
    text = PAGE.read_text("utf-8").partition("<!-- attention -->")[0]
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE)
    return {
        name: [cell.strip().replace("`", "") for cell in rest.split("|")] for name, rest in lines
    }


def example(name: str) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(0)
    return {input_name(name): torch.randn(1, *MODELS[name][0], generator=noise)}


def seeded(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name)


def test_the_page_lists_every_model() -> None:
    assert list(rows()) == list(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_layer_and_the_score_are_those_of_the_page(name: str) -> None:
    found, score = layers_and_score(seeded(name), example(name), Score())
    layer, scored = rows()[name][:2]
    assert found[0].usable
    assert (found[0].name, score.split()[0]) == (layer, scored)


@pytest.mark.parametrize("name", ["VideoMAEForVideoClassification", "ASTForAudioClassification"])
def test_a_map_lies_along_the_inputs_own_axes(tmp_path: Path, name: str) -> None:
    """A map a frame of a clip; time by mel bands of a spectrogram, as the input has them."""
    report = graftcam.export(seeded(name), tmp_path / "model.onnx", example(name))
    assert report.verification.verdict == "pass"
    layer, cells = report.spec.layers[0], rows()[name]
    assert (" x ".join(map(str, layer.grid)), str(layer.prefix_tokens)) == tuple(cells[2:4])
    array = example(name)[input_name(name)][0].numpy()
    (found,) = graftcam.Explainer(report.path).explain([array])
    turned = [layer.grid[axis] for axis in np.argsort(layer.input_axes or range(len(layer.grid)))]
    assert list(found.maps.shape[1:]) == turned


def test_names_of_classes_come_with_the_model(tmp_path: Path) -> None:
    name = "ViTForImageClassification"
    module = seeded(name)
    path = tmp_path / "model.onnx"
    plain = graftcam.export(module, path, example(name), verify="off")
    assert plain.spec.labels is None  # LABEL_0, LABEL_1, ...
    names = {number: f"bird {number}" for number in range(7)}
    module.config.id2label = names
    report = graftcam.export(module, path, example(name), verify="off")
    assert report.spec.labels == list(names.values())
    assert "the class names are the model's own, of its config.id2label" in report.notes
    module.config.id2label = {0: "bird"}  # of another head
    assert graftcam.export(module, path, example(name), verify="off").spec.labels is None


def test_an_embedding_is_said_to_have_no_classes() -> None:
    name = "CLIPVisionModelWithProjection"
    _, score = layers_and_score(seeded(name), example(name), Score())
    assert "entries are no classes" in score
    _, score = layers_and_score(seeded(name), example(name), Score("linear"))
    assert "no classes" not in score
