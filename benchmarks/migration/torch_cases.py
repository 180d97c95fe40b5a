"""Calls of pytorch-grad-cam, captum and torch-cam, and functions that make them.

Each function gets a model of its own, since the packages leave hooks in it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import captum.attr as captum
import numpy as np
import pytorch_grad_cam as pgc
import torch
import torchcam.methods as torchcam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from .case import Array, Case

_SHOWN = "stretched, resized, stretched"
_SIGN = (
    "the sign of a component is arbitrary: graftcam's follows the sum over the channels, the "
    "peer's is the opposite here, and shows the rest of the image"
)

PYTORCH_GRAD_CAM = (
    Case("GradCAM", "gradcam", convert=_SHOWN),
    Case("HiResCAM", "hirescam", convert=_SHOWN),
    Case("GradCAMPlusPlus", "gradcam++", convert=_SHOWN,
         why="1e-6 is added to its divisor"),
    Case("XGradCAM", "xgradcam", convert=_SHOWN),
    Case("LayerCAM", "layercam", convert=_SHOWN),
    Case("GradCAMElementWise", "gradcam-elementwise", convert=_SHOWN),
    Case("EigenCAM", "eigencam", convert=_SHOWN),
    Case("EigenGradCAM", "eigengradcam", convert=_SHOWN, why=_SIGN),
    Case("KPCA_CAM", "kpcacam", convert=_SHOWN),
    Case("FEM", "fem", convert=_SHOWN,
         why="weighs a channel by its share of strong places; the paper and graftcam by its mean"),
    Case("AblationCAM", "ablationcam", convert=_SHOWN),
    Case("ScoreCAM", "scorecam", convert=_SHOWN,
         why="its masks are resized corner on corner, graftcam's centre on centre"),
    Case("ShapleyCAM", "shapleycam", convert=_SHOWN,
         why="its map is that of `GradCAM` to the bit, since automatic differentiation sees no "
             "curvature in ReLUs; graftcam's is a difference of gradients, which sees their kinks"),
    Case("FinerCAM, alpha=0.6, comparison_categories=[1]", "finercam", {"gamma": 0.6},
         convert=_SHOWN, second=True),
    Case("GradCAM, eigen_smooth=True", "gradcam", {"eigen_smooth": True}, convert=_SHOWN,
         why=_SIGN),
    Case("GradCAM, aug_smooth=True", "gradcam", convert=_SHOWN, augment=True,
         why="averages stretched maps, and does not stretch the average"),
    Case("GuidedBackpropReLUModel(model)(x, c)", "guided-backprop"),
)  # fmt: skip

CAPTUM = (
    Case("LayerGradCam(model, layer).attribute(x, c, relu_attributions=True)", "gradcam"),
    Case("LayerGradCam(model, layer).attribute(x, c)", "gradcam", {"relu": False}),
    Case("LayerGradientXActivation(model, layer).attribute(x, c).sum(1)", "hirescam",
         {"relu": False}),
    Case("Saliency(model).attribute(x, c).amax(1)", "saliency"),
    Case("InputXGradient(model).attribute(x, c).sum(1)", "input-x-gradient"),
    Case("IntegratedGradients(model).attribute(x, target=c, n_steps=32).sum(1)",
         "integrated-gradients", {"baseline": 0}),
    Case("NoiseTunnel(Saliency(model)).attribute(x, nt_samples=100, stdevs=s, target=c, abs=False)"
         ".abs().amax(1)", "smoothgrad", {"samples": 100}, why="other random numbers"),
    Case("GuidedBackprop(model).attribute(x, c).abs().amax(1)", "guided-backprop"),
    Case("Deconvolution(model).attribute(x, c).abs().amax(1)", "deconvnet"),
    Case('GuidedGradCam(model, layer).attribute(x, c, interpolate_mode="bilinear").abs().amax(1)',
         "guided-gradcam"),
)  # fmt: skip

TORCH_CAM = (
    Case("GradCAM", "gradcam", convert="stretched"),
    Case("GradCAMpp", "gradcam++", convert="stretched", why="it omits the divisor"),
    Case("XGradCAM", "xgradcam", convert="stretched"),
    Case("LayerCAM", "layercam", convert="stretched"),
    Case(
        "ScoreCAM",
        "scorecam",
        convert="stretched",
        why="scales the channels before it resizes them to masks, graftcam after",
    ),
    Case("FinerCAM, comparison_idx=[d]", "finercam", convert="stretched", second=True),
)

Make = Callable[[], tuple[nn.Module, nn.Module]]


def pytorch_grad_cam(make: Make, x: torch.Tensor, classes: tuple[int, int]) -> dict[str, Array]:
    """Return the maps of pytorch-grad-cam by call, [h, w].

    Args:
        make: Gives a new copy of the model, and its target layer.
        x: One image, [1, C, H, W].
        classes: The best class, and the second.
    """
    found: dict[str, Array] = {}
    for case in PYTORCH_GRAD_CAM:
        name, *words = case.call.split(", ")
        model, layer = make()
        if name.startswith("Guided"):
            guided: Any = pgc.GuidedBackpropReLUModel(model)(x.clone(), classes[0])
            found[case.call] = np.abs(guided).max(axis=-1)
            continue
        peer: Any = getattr(pgc, name)(model=model, target_layers=[layer])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name == "FinerCAM":
                map_ = peer(x, alpha=0.6, comparison_categories=[1])[0]
            else:
                how = {word.partition("=")[0]: True for word in words}
                map_ = peer(x, [ClassifierOutputTarget(classes[0])], **how)[0]
        found[case.call] = np.asarray(map_)
    return found


def captum_maps(make: Make, x: torch.Tensor, classes: tuple[int, int]) -> dict[str, Array]:
    """Return the maps of captum by call; arguments as for `pytorch_grad_cam`."""
    c, _ = classes
    spread = 0.15 * float(x.max() - x.min())  # graftcam's default share of the range
    noise = {"nt_samples": 100, "nt_samples_batch_size": 4, "stdevs": spread, "abs": False}
    torch.manual_seed(0)

    def attribute(peer: Any, *layers: str, **how: Any) -> torch.Tensor:
        model, layer = make()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum says that it sets hooks
            return peer(model, *([layer] if layers else [])).attribute(
                x.clone().requires_grad_(True), target=c, **how
            )

    def noisy(model: nn.Module) -> Any:
        return captum.NoiseTunnel(captum.Saliency(model))

    maps = (
        attribute(captum.LayerGradCam, "layer", relu_attributions=True)[:, 0],
        attribute(captum.LayerGradCam, "layer")[:, 0],
        attribute(captum.LayerGradientXActivation, "layer").sum(1),
        attribute(captum.Saliency).amax(1),
        attribute(captum.InputXGradient).sum(1),
        attribute(captum.IntegratedGradients, n_steps=32).sum(1),
        attribute(noisy, **noise).abs().amax(1),
        attribute(captum.GuidedBackprop).abs().amax(1),
        attribute(captum.Deconvolution).abs().amax(1),
        attribute(captum.GuidedGradCam, "layer", interpolate_mode="bilinear").abs().amax(1),
    )
    return {case.call: map_.detach().numpy()[0] for case, map_ in zip(CAPTUM, maps, strict=True)}


def torch_cam(make: Make, x: torch.Tensor, classes: tuple[int, int]) -> dict[str, Array]:
    """Return the maps of torch-cam by call; arguments as for `pytorch_grad_cam`."""
    found: dict[str, Array] = {}
    for case in TORCH_CAM:
        name, *_ = case.call.split(", ")
        model, layer = make()
        more = {"comparison_idx": [classes[1]]} if name == "FinerCAM" else {}
        with getattr(torchcam, name)(model, layer) as extractor:
            found[case.call] = extractor(classes[0], model(x), **more)[0].detach().numpy()[0]
    return found
