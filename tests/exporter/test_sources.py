"""Models by name, and their training transforms as records."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import timm.data
import torch
from safetensors.torch import save_file
from torchvision import models

from graftcam.exporter import CaptureError
from graftcam.exporter.source import zoo_models
from graftcam.exporter.source.named import load_source
from graftcam.exporter.source.preprocessing import as_preprocess
from graftcam.runtime.spec import Preprocess
from support.torch_hub import hub_without_network

HUB = ("timm/test_vit.r160_in1k", "model.safetensors")


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
    (note,) = source.notes
    assert note.startswith("no --weights given: the model explains random weights; ")


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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of torch.hub's files; there is no network."""
    return hub_without_network(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "weights", ["IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", "DEFAULT"]
)
def test_published_weights_are_taken_by_their_name(hub: Path, weights: str) -> None:
    hub.mkdir(parents=True)
    model = models.squeezenet1_1()
    torch.save(model.state_dict(), hub / "squeezenet1_1-b8a52dc0.pth")
    source = load_source("torchvision:squeezenet1_1", weights)
    assert torch.equal(next(source.model.parameters()), next(model.parameters()))  # pyright: ignore
    assert source.notes == []
    assert source.preprocess is not None
    assert source.labels[281] == "tabby"


def test_without_a_network_the_file_to_get_and_its_place_are_named(hub: Path) -> None:
    url = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    place = hub / "squeezenet1_1-b8a52dc0.pth"
    message = rf"no network.*; get {url} and put it at {place}$"
    with pytest.raises(CaptureError, match=message):
        load_source("torchvision:squeezenet1_1", "DEFAULT")
    assert not any(hub.iterdir())
    place.write_bytes(b"<html>")
    with pytest.raises(CaptureError, match=rf"{place} is no state dict.*; delete it, or put {url}"):
        load_source("torchvision:squeezenet1_1", "DEFAULT")
    torch.save(models.squeezenet1_0().state_dict(), place)
    with pytest.raises(CaptureError, match=f"cannot load {place}: .*; delete it"):
        load_source("torchvision:squeezenet1_1", "DEFAULT")


def test_what_published_weights_could_run_is_not_run(hub: Path) -> None:
    hub.mkdir(parents=True)
    torch.save(models.squeezenet1_1(), hub / "squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(CaptureError, match="it holds Python objects"):
        load_source("torchvision:squeezenet1_1", "DEFAULT")


@pytest.mark.parametrize(
    ("source", "weights", "message"),
    [
        (
            "torchvision:resnet50",
            "IMAGENET1K_V3",
            "there is IMAGENET1K_V2, IMAGENET1K_V1, DEFAULT; or give a",
        ),
        ("torchvision:resnet50", "no.pt", "--weights no.pt: no such file, and no weights of"),
        ("torchvision:resnet5", "DEFAULT", "torchvision has no model 'resnet5'; did you mean resn"),
        ("timm:resnet5", "DEFAULT", "timm has no model 'resnet5'; did you mean"),
        ("timm:resnet50", "a2_in1k_", "no weights of timm:resnet50; there is a2_in1k,"),
        ("timm:resnet50.a2_in2k", None, "no weights of timm:resnet50; there is a2_in1k,"),
        ("timm:test_vit", "DEFAULT", "huggingface.co/timm/test_vit.r160_in1k/resolve/main/model"),
    ],
)
def test_weights_that_there_are_not(
    hub: Path, monkeypatch: pytest.MonkeyPatch, source: str, weights: str | None, message: str
) -> None:
    monkeypatch.setattr(zoo_models, "in_hub_cache", lambda *_: None)
    monkeypatch.setattr("graftcam.exporter.source.fetch_weights.urlopen", torch.hub.urlopen)
    with pytest.raises(CaptureError) as caught:
        load_source(source, weights)
    assert message in str(caught.value)


def test_weights_of_timm_are_taken_from_its_cache_and_bring_their_class_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = timm.create_model("test_vit", pretrained=False)
    file = tmp_path / "model.safetensors"
    save_file(model.state_dict(), file)
    monkeypatch.setattr(zoo_models, "in_hub_cache", lambda *asked: file if asked == HUB else None)
    monkeypatch.setattr(zoo_models, "check_reachable", None)
    for name, weights in (
        ("test_vit", "DEFAULT"), ("test_vit", "r160_in1k"), ("test_vit.r160_in1k", "DEFAULT"),
    ):  # fmt: skip
        source = load_source(f"timm:{name}", weights)
        assert torch.equal(next(source.model.parameters()), next(model.parameters()))  # pyright: ignore
        assert source.notes == []
        assert source.labels[281] == "tabby, tabby cat"
        assert source.inputs[0].shape == (1, 3, 160, 160)
