"""Detectors that come as PyTorch modules: layers are found in the graph and named by modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.errors import CaptureError, ScoreError
from graftcam.exporter.report.report import Report
from graftcam.exporter.source.before_nms import BeforeNms
from support.sessions import open_session
from support.torch_detectors import (
    KEEP_ALL,
    Backbone,
    OwnDetector,
    Queries,
    anchors,
    autograd,
    images,
    retinanet,
    seeded,
    with_neck,
)

BOX, CLASS = 37, 1
LEVELS = ["neck.0", "neck.1"]


def _run(
    session: InferenceSession, example: torch.Tensor, box: int, target: int, cls: int = CLASS
) -> dict[str, Any]:
    names = [one.name for one in session.get_outputs()]
    feeds = {
        session.get_inputs()[0].name: example.numpy(),
        "box_index": np.array([[box]]), "box_target": np.array([[target]]),
        "class_index": np.array([[cls]]),
    }  # fmt: skip
    return dict(zip(names, session.run(None, feeds), strict=True))


def _close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert np.linalg.norm(wanted) > 1e-6
    assert np.linalg.norm(found - wanted) < 1e-4 * np.linalg.norm(wanted)  # float32


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, InferenceSession]:
    path = tmp_path_factory.mktemp("dense") / "own.onnx"
    report = export(OwnDetector(), path, (images(),), verify="off")
    return report, open_session(path)


def test_levels_go_by_the_modules_that_return_them(dense: tuple[Report, InferenceSession]) -> None:
    detector = dense[0].spec.detector
    assert detector is not None
    assert [(one.layer, one.first, one.count, one.stride) for one in detector.levels] == [
        ("neck.0", 0, 128, [4.0, 4.0]), ("neck.1", 128, 32, [8.0, 8.0]),
    ]  # fmt: skip


def test_names_are_the_modules_own(dense: tuple[Report, InferenceSession]) -> None:
    assert dense[0].spec.labels == ["cat", "dog", "bird"]


@pytest.mark.parametrize("box", [BOX, 100])
@pytest.mark.parametrize("target", range(5))
def test_gradients_are_autograds(
    dense: tuple[Report, InferenceSession], box: int, target: int
) -> None:
    def score(result: torch.Tensor) -> torch.Tensor:
        row = result[0, :, box]
        centre, size = row[:2], row[2:4]
        edges = torch.cat([centre - size / 2, centre + size / 2])
        return row[4 + CLASS].logit() if target == 0 else edges[target - 1]

    found = _run(dense[1], images(), box, target)
    wanted = autograd(OwnDetector(), LEVELS, score, images())
    whole = [np.concatenate([one.reshape(-1) for one in each]) for each in (
        [found[f"gradients.{name}"] for name in LEVELS], wanted)]  # fmt: skip
    _close(whole[0], whole[1])


class Functional(OwnDetector):
    """The same without a module that returns what its heads read."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.ModuleList([_Square(), _Square()])


class _Square(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(32, 16, 1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:  # no hook is called
        return torch.tanh(self.forward(x))


def test_a_level_that_no_module_returns_goes_by_its_name_in_the_graph(tmp_path: Path) -> None:
    report = export(Functional(), tmp_path / "a.onnx", (images(),), verify="off")
    assert report.spec.detector is not None
    assert len(report.spec.detector.levels) == 2
    assert any("no module returns" in note for note in report.notes), report.notes


def test_layers_that_the_user_names_are_taken(tmp_path: Path) -> None:
    report = export(
        OwnDetector(), tmp_path / "a.onnx", (images(),), layers=["backbone.coarse"], verify="off"
    )
    assert report.spec.detector is not None
    assert [one.name for one in report.spec.layers] == ["backbone.coarse"]


def test_a_classifier_is_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftcam.exporter.capture import torch_export

    count, real = list[int](), torch_export.guard_taps

    def counted(graph: Any, taps: int) -> None:
        count.append(taps)
        real(graph, taps)

    monkeypatch.setattr(torch_export, "guard_taps", counted)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(8, 5))  # fmt: skip
    report = export(net, tmp_path / "a.onnx", (images(),), verify="off")
    assert report.spec.detector is None
    assert count == [1]


class Tokens(nn.Module):
    """Returns tables with many entries, and no boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.body(images)).flatten(2).transpose(1, 2))


def test_other_modules_with_tables_are_explained_as_before(tmp_path: Path) -> None:
    report = export(Tokens(), tmp_path / "a.onnx", (images(),), verify="off", class_axis=2)
    assert report.spec.detector is None
    found = export(Tokens(), tmp_path / "b.onnx", (images(),), verify="off", class_axis=2,
                   detector="off")  # fmt: skip
    assert [one.name for one in found.spec.layers] == [one.name for one in report.spec.layers]


@pytest.mark.parametrize(("classes", "refines"), [(4, True), (4, False)])
def test_gradients_of_queries_are_autograds(tmp_path: Path, classes: int, refines: bool) -> None:
    module = Queries(classes, refines=refines)
    labels = ["a", "b", "c", "d"][: classes if refines else classes - 1]
    report = export(module, tmp_path / "a.onnx", (images(2),), labels=labels, verify="off")
    detector, layers = report.spec.detector, [one.name for one in report.spec.layers]
    assert detector is not None
    assert detector.no_object is (None if refines else True)
    assert layers == ["body"]
    session = open_session(tmp_path / "a.onnx")
    for target in (0, 1, 4):

        def score(result: dict[str, torch.Tensor], target: int = target) -> torch.Tensor:
            x, y, w, h = result["pred_boxes"][0, 2] * torch.tensor([64, 32, 64, 32])
            edges = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            return result["logits"][0, 2, CLASS] if target == 0 else edges[target - 1]

        found = _run(session, images(), 2, target)
        _close(found["gradients"], autograd(module, layers, score, images())[0][:, None])


# torchvision's, before their suppression


def _fcos() -> nn.Module:
    from torchvision.models.detection.fcos import FCOS

    return FCOS(Backbone(), 4, anchor_generator=anchors(), **KEEP_ALL)


def _ssd() -> nn.Module:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD, SSDHead

    boxes = DefaultBoxGenerator([[2], [2]], scales=[0.1, 0.3, 0.6])
    head = SSDHead([32, 32], boxes.num_anchors_per_location(), 4)
    few = {key: value for key, value in KEEP_ALL.items() if key not in ("min_size", "max_size")}
    return SSD(Backbone(), boxes, (64, 32), 4, head=head, **few)


MAKERS = {"fcos": _fcos, "retinanet": retinanet, "ssd": _ssd}


@pytest.fixture(scope="module", params=MAKERS)
def suppressing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Report, InferenceSession]:
    pytest.importorskip("torchvision")
    module = seeded(MAKERS[request.param])
    path = tmp_path_factory.mktemp("tv") / "a.onnx"
    report = export(module, path, (images(),), detector="before_nms", verify="off")
    return module, report, open_session(path)


def test_all_that_torchvision_returns_is_among_the_boxes(
    suppressing: tuple[nn.Module, Report, InferenceSession],
) -> None:
    module, report, session = suppressing
    with torch.no_grad():
        kept = module(images())[0]
    assert report.spec.detector is not None
    entries = (report.spec.detector.score_entries, report.spec.detector.box_entries)
    outputs = [one[0].output for one in entries]
    found = session.run(outputs, {session.get_inputs()[0].name: images().numpy()})
    scores, boxes = (torch.tensor(one[0]) for one in found)
    boxes = torch.minimum(boxes.clamp(min=0), torch.tensor([64.0, 32.0, 64.0, 32.0]))
    assert len(kept["labels"]) > 20
    for label, score, box in zip(kept["labels"], kept["scores"], kept["boxes"], strict=True):
        # In pixels, and a probability.
        assert ((boxes - box).abs().amax(1) + (scores[:, label] - score).abs()).min() < 1e-3


def test_levels_of_torchvisions_detectors_are_the_backbones_maps(
    suppressing: tuple[nn.Module, Report, InferenceSession],
) -> None:
    _, report, _ = suppressing
    assert report.spec.detector is not None
    assert [one.layer for one in report.spec.detector.levels] == [
        "backbone.fine",
        "backbone.coarse",
    ]


@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize("box", [BOX, -9])  # one of each level
def test_gradients_before_suppression_are_autograds(
    suppressing: tuple[nn.Module, Report, InferenceSession], box: int, target: int
) -> None:
    module, report, session = suppressing
    assert report.spec.detector is not None
    count = sum(one.count or 0 for one in report.spec.detector.levels)

    def score(result: dict[str, torch.Tensor]) -> torch.Tensor:
        if target == 0:
            return result["scores"][0, box, CLASS].logit()
        return result["boxes"][0, box, target - 1]

    found = _run(session, images(), box % count, target)
    layers = [one.name for one in report.spec.layers]
    wanted = autograd(BeforeNms(module, images()), layers, score, images())
    made = [found[f"gradients.{name}"].reshape(-1) for name in layers]
    _close(np.concatenate(made), np.concatenate([one.reshape(-1) for one in wanted]))


def test_a_module_that_suppresses_boxes_is_refused_with_the_option(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(ScoreError, match="detector='before_nms'"):
        export(seeded(_fcos), tmp_path / "a.onnx", (images(),), verify="off")
    assert not list(tmp_path.iterdir())


class TwoStages(nn.Module):
    """The parts that tell a detector of two stages."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = Backbone(), nn.Identity(), nn.Identity()


def test_two_stages_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="TwoStages has two stages"):
        export(TwoStages(), tmp_path / "a.onnx", (images(),), detector="before_nms", verify="off")


def test_other_modules_cannot_be_taken_before_nms(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="OwnDetector has no transform, head"):
        export(OwnDetector(), tmp_path / "a.onnx", (images(),), detector="before_nms", verify="off")


def test_levels_say_why_they_are_the_layers(dense: tuple[Report, InferenceSession]) -> None:
    assert set(dense[0].layers.values()) == {"automatic: a level of the detector"}


def test_images_that_the_model_would_pad_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(CaptureError, match=r"multiples of 32 pixels, and 32x48 .* of 32x64"):
        export(
            seeded(_fcos), tmp_path / "a.onnx", (torch.rand(1, 3, 32, 48),),
            detector="before_nms", verify="off",
        )  # fmt: skip
    assert not (tmp_path / "a.onnx").exists()


def test_context_takes_the_layers_of_a_modules_backbone(tmp_path: Path) -> None:
    report = export(with_neck(), tmp_path / "a.onnx", (images(),), context=True)
    names = [one.name for one in report.spec.layers]
    assert names[0] == "backbone.0.fine"
    assert report.verification.verdict == "pass"
