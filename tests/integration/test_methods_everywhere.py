"""Every method on a torchvision CNN and on a ViT, from Python and from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision

from graftcam.demo.bundled import images
from graftcam.exporter import export
from graftcam.runtime import METHODS, Explainer
from graftcam.runtime.methods.table import ATTENTION_METHODS
from graftcam.runtime.session.heads import Heads
from graftcam.runtime.spec import Layer, Preprocess
from support.cli import refuse, succeed

IMAGE = images()[0].path
SIZE = 64
TRANSFORM = Preprocess("", [SIZE, SIZE], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
# Methods that run the model many times, with few runs: the test is that they run.
OPTIONS = {
    "smoothgrad": {"samples": 3},
    "smoothgrad-squared": {"samples": 3},
    "vargrad": {"samples": 3},
    "integrated-gradients": {"steps": 3},
    "scorecam": {"channels": 4},
    "rise": {"masks": 8},
}
# ReLUs alone have guided rules; plain CAM needs a mean over space after the layer.
NOT_FOR_VITS = {
    "guided-backprop": "vit_tiny.onnx has no guided_gradients",
    "deconvnet": "vit_tiny.onnx has no deconvnet_gradients",
    "guided-gradcam": "vit_tiny.onnx has no guided_gradients",
    "fullgrad": "vit_tiny.onnx has no fullgrad",
    "cam": "is defined for a layer that is averaged over space before the head",
}
NOT_FOR_CNNS = dict.fromkeys(ATTENTION_METHODS, "follows attention, and the artifact has none")
# These ask which places stand out, whatever the class.
CLASS_AGNOSTIC = {"eigencam", "kpcacam", "fem", "attention", "rollout"}


@pytest.fixture(scope="module", params=["resnet18", "vit_tiny"])
def artifact(request, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    cnn = request.param == "resnet18"
    if cnn:
        model = torchvision.models.resnet18(num_classes=10)
        for module in model.modules():  # as after a training; FullGrad shows biases
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.bias, std=0.1)
    else:
        model = timm.create_model("vit_tiny_patch16_224", img_size=SIZE, num_classes=10)
    path = tmp_path_factory.mktemp(request.param) / f"{request.param}.onnx"
    export(
        model.eval(), path, (torch.zeros(1, 3, SIZE, SIZE),),
        layers="layer4" if cnn else "blocks.10", preprocess=TRANSFORM,
        extras=[
            "head",
            *(["guided", "fullgrad"] if cnn else ["input_gradients", "attention", "legrad"]),
        ],
        verify="off",
    )  # fmt: skip
    return path


def _usable(artifact: Path) -> list[str]:
    missing = NOT_FOR_VITS if "vit" in artifact.name else NOT_FOR_CNNS
    return [one for one in METHODS if one not in missing]


def test_every_method_explains_two_classes_and_takes_what_the_table_says(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer(artifact)
    session, layer = explainer._session, explainer.spec.layers[0]
    tensors = {"activations": layer.activations, "gradients": layer.gradients}
    tensors |= {"heatmap": layer.heatmap, **explainer.spec.of_input}
    tensors |= {"fullgrad": explainer.spec.fullgrad}
    record = explainer.spec.attention
    attention = set[str]() if record is None else {*record.outputs}
    fetched: set[str] = set()
    images: list[np.ndarray] = []
    heads: list[str] = []
    run, head_of = session.run, Heads.of

    def watched(feeds: dict[str, np.ndarray], names: Iterable[str]) -> object:
        names = list(names)
        fetched.update(names)
        images.append(feeds[explainer.spec.preprocess.input])
        return run(feeds, names)

    def watched_head(self: Heads, of: Layer, place: int = 0) -> object:
        heads.append(of.name)
        return head_of(self, of, place)

    monkeypatch.setattr(session, "run", watched)
    monkeypatch.setattr(Heads, "of", watched_head)
    for method in _usable(artifact):
        fetched.clear(), images.clear(), heads.clear()
        # With an option Grad-CAM's map, which every artifact contains, is computed again.
        options = {"relu": True} if method == "gradcam" else OPTIONS.get(method, {})
        found = explainer.explain(IMAGE, [3, 7], method=method, options=options)
        assert found.classes == [3, 7], method
        assert found.heatmaps.shape == (2, 96, 96)
        assert np.isfinite(found.maps).all(), method
        # FEM marks what exceeds mean and two deviations: no value does among so few cells.
        assert ("ok" in found.status) == (method != "fem"), method
        equal = np.array_equal(found.maps[0], found.maps[1])
        assert equal == (method in CLASS_AGNOSTIC), method
        taken = {need for need, name in tensors.items() if name in fetched}
        taken |= {"attention"} if fetched.intersection(attention) else set()
        taken |= {"head"} if heads else set()
        changed = any(not np.array_equal(image, images[0]) for image in images[1:])
        taken |= {"images"} if changed or method == "input-x-gradient" else set()
        assert taken == set(METHODS[method].needs), method


@pytest.mark.parametrize(
    ("artifact", "method", "message"),
    [
        *(("vit_tiny", *one) for one in NOT_FOR_VITS.items()),
        *(("resnet18", *one) for one in NOT_FOR_CNNS.items()),
    ],
    indirect=["artifact"],
)
def test_the_error_names_what_a_model_lacks(
    artifact: Path, tmp_path: Path, method: str, message: str
) -> None:
    assert message in refuse("explain", artifact, IMAGE, "-o", tmp_path, "--method", method)


def test_the_command_draws_all_of_them_in_one_panel(artifact: Path, tmp_path: Path) -> None:
    more = [word for method in _usable(artifact) for word in ("--method", method)]
    for option in ("samples=3", "steps=3", "channels=4", "masks=8"):
        more += ["--option", option]
    succeed("explain", artifact, IMAGE, "-o", tmp_path, "--panel", "--top", 2, *more)
    (path,) = tmp_path.glob("*.png")
    height, width, _ = cv2.imread(str(path)).shape
    assert height * width > 2 * len(_usable(artifact)) * 96 * 96
