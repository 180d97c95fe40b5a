"""Models by name, and their training transforms as records."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import timm.data
import torch
from torchvision import models

from graftcam.exporter import CaptureError
from graftcam.exporter.source.named import load_source
from graftcam.exporter.source.preprocessing import as_preprocess
from graftcam.runtime.spec import Preprocess


def test_a_torchvision_weights_transform_becomes_a_record() -> None:
    record = as_preprocess(models.ResNet50_Weights.IMAGENET1K_V2.transforms())
    assert record == Preprocess(
        "", [224, 224], [232], "shorter", "bilinear", 1 / 255,
        [0.485, 0.456, 0.406], [0.229, 0.224, 0.225],
    )  # fmt: skip


def test_a_timm_data_configuration_becomes_a_record() -> None:
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    record = as_preprocess(timm.data.resolve_model_data_config(model))
    assert (record.resize, record.resize_mode, record.interpolation) == (
        [248],
        "shorter",
        "bicubic",
    )
    assert record.mean == [0.5, 0.5, 0.5]


def test_records_pass_and_other_transforms_are_refused() -> None:
    record = Preprocess("x", [8, 8], None, "exact", "bilinear", 1.0, [0.0], [1.0])
    assert as_preprocess(record) is record
    assert as_preprocess(None) is None
    with pytest.raises(CaptureError, match=r"cannot store Identity\(\) as preprocessing"):
        as_preprocess(torch.nn.Identity())


def test_torchvision_brings_labels_transform_and_a_note_on_random_weights() -> None:
    source = load_source("torchvision:mobilenet_v3_small")
    assert source.labels[281] == "tabby"
    assert source.inputs[0].shape == (1, 3, 224, 224)
    assert source.notes == ["no --weights given: the model explains random weights"]


def test_nothing_is_downloaded_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    assert load_source("torchvision:lraspp_mobilenet_v3_large").notes


def test_a_factory_may_load_weights_of_its_own() -> None:
    assert load_source("graftcam.demo.model:build", shape=(3, 96, 96)).notes == []


def test_another_shape_scales_the_transform_along() -> None:
    record = load_source("torchvision:alexnet", shape=(3, 112, 112)).preprocess
    assert (record.size, record.resize) == ([112, 112], [128])


def test_a_state_dict_is_loaded_and_a_pickle_of_code_is_not(tmp_path: Path) -> None:
    model = models.squeezenet1_1()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "good.pt")
    source = load_source("torchvision:squeezenet1_1", str(tmp_path / "good.pt"))
    weight = next(model.parameters())
    assert torch.equal(next(source.model.parameters()), weight)  # pyright: ignore
    assert source.notes == []
    torch.save(model, tmp_path / "code.pt")
    with pytest.raises(CaptureError, match=r"code\.pt is no state dict: it holds Python objects"):
        load_source("torchvision:squeezenet1_1", str(tmp_path / "code.pt"))
