"""Attention's record: files that contradict it, and models that it is not for, are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graftcam import Explainer, export
from graftcam.exporter.artifact.publish_attention import AttentionWanted
from graftcam.exporter.errors import LayerError
from graftcam.runtime.errors import InputError, SpecError
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.small_vit import SmallVit


def test_a_model_without_attention_is_refused_for_that_reason(tmp_path: Path) -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )  # fmt: skip
    with pytest.raises(LayerError, match="the model has no attention"):
        export(model.eval(), tmp_path / "a.onnx", (torch.zeros(1, 3, 8, 8),), extras="rollout")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    "name",
    ["attention.blocks.0.attn", "attention_gradients.blocks.0.attn", "attention_keys",
     "attention_result_gradients", "heatmap.rollout"],
)  # fmt: skip
def test_a_file_that_lacks_an_output_of_its_record_is_refused_at_loading(
    name: str, with_all: Path, tmp_path: Path
) -> None:
    model = ir.load(with_all)
    model.graph.outputs[:] = [value for value in model.graph.outputs if value.name != name]
    ir.save(model, tmp_path / "lacking.onnx")
    with pytest.raises(SpecError, match=rf"the graph lacks \['{re.escape(name)}'\]"):
        Explainer(tmp_path / "lacking.onnx")


def test_a_record_of_another_grid_is_refused_at_loading(with_all: Path, tmp_path: Path) -> None:
    model = ir.load(with_all)
    spec = Spec.from_json(model.metadata_props[METADATA_KEY])
    assert spec.attention is not None
    other = replace(spec, attention=replace(spec.attention, grid=[12]))
    model.metadata_props[METADATA_KEY] = other.to_json()
    ir.save(model, tmp_path / "flat.onnx")
    with pytest.raises(SpecError, match=r"'heatmap\.rollout' has 4 axes, and the metadata need 3"):
        Explainer(tmp_path / "flat.onnx")


def test_a_method_that_follows_all_blocks_is_refused_where_some_stand_apart(
    with_all: Path, tmp_path: Path
) -> None:
    """At run time by the record, and at the export by what was found."""
    model = ir.load(with_all)
    spec = Spec.from_json(model.metadata_props[METADATA_KEY])
    assert spec.attention is not None
    first, *others = spec.attention.blocks
    blocks = [replace(first, role="apart", tokens=None), *others]
    other = replace(spec, attention=replace(spec.attention, blocks=blocks))
    model.metadata_props[METADATA_KEY] = other.to_json()
    ir.save(model, tmp_path / "apart.onnx")
    said = "'gradient-rollout' follows the tokens through all blocks, but attention 'blocks.0.attn'"
    image = np.zeros((1, 3, 24, 32), np.float32)
    with pytest.raises(InputError, match=rf"{said} is of windows, .* \(1 of 2 are\); use 'attent"):
        Explainer(tmp_path / "apart.onnx").explain(image, method="gradient-rollout")
    found: Any = SimpleNamespace(
        apart=["blocks.0.attn"], blocks=[None, None], doubt=None, chain=object()
    )
    with pytest.raises(LayerError, match=rf"{said} .*; use 'legrad' or a layer's method"):
        AttentionWanted(found, ["legrad", "gradient-rollout"], tensors=False).check()
    AttentionWanted(found, ["legrad"], tensors=False).check()


@pytest.fixture(scope="module")
def with_all(tmp_path_factory: Any) -> Path:
    """An artifact with all tensors and a map, not verified."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("all") / "model.onnx"
    images = (torch.zeros(2, 3, 24, 32),)
    export(SmallVit(blocks=2).eval(), path, images, layers="attention", extras="rollout",
           verify="off")  # fmt: skip
    return path
