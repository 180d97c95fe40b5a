"""`cost` times insertion and deletion of several methods beside Quantus and pytorch-grad-cam.

All do the same: explain a photograph by each method, and remove its pixels in as many equal steps,
the most important first (deletion) and the least important first (insertion), by the mean colour.
"""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam.metrics.perturbation_confidence import (
    PerturbationConfidenceMetric,
    RemoveLeastRelevantFirst,
    RemoveMostRelevantFirst,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import nn

from graftcam.runtime.session.session import Model
from graftcam.runtime.tools.evaluate.evaluator import Evaluator
from graftcam.runtime.tools.evaluate.settings import EvaluationSettings

from ..subjects import Subjects, module
from ..timing import Run, measure, ratios, spreads
from ..truth import Array

_STEPS = 48  # Quantus demands that a step divides the number of pixels
_METHODS = {
    "gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM", "layercam": "LayerCAM", "eigencam": "EigenCAM",
}  # fmt: skip
_MODELS = ("mobilenet_v3_large", "resnet50")
_ROUNDS = 3


def cost(files: Path, threads: int) -> list[dict[str, Any]]:
    """Return the times of each model, and their ratios to graftcam's, for one photograph.

    Args:
        files: Where models are stored.
        threads: Of each package.
    """
    torch.set_num_threads(threads)
    subjects = Subjects(files, threads)
    return [_timed(model, subjects) for model in _MODELS]


def _timed(name: str, subjects: Subjects) -> dict[str, Any]:
    artifact, model = subjects.artifact(name), module(name)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
        settings = EvaluationSettings(
            str(artifact.path), folder, "", tuple(_METHODS), measures=("insertion", "deletion"),
            tuning={"steps": _STEPS, "insertion_fill": "mean", "deletion_fill": "mean"},
            threads=subjects.threads, only=(photo.name,), provider="cpu",
        )  # fmt: skip
        worker = Evaluator(settings)
        pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
        runs: dict[str, Run] = {
            "graftcam": lambda: worker([photo.name]),
            "pytorch-grad-cam": _grad_cam(model, artifact.layer, pixels),
            "Quantus": _quantus(model, artifact.layer, pixels),
        }
        times = measure(runs, _ROUNDS, warm_ups=1)
        share = _share_of_runs(runs["graftcam"])
    return {
        "model": name, "layer": artifact.layer, "rounds": _ROUNDS, "steps": _STEPS,
        "methods": len(_METHODS),
        "seconds": {key: [v / 1000 for v in one] for key, one in spreads(times).items()},
        "ratios": ratios(times, "graftcam"), "share_of_runs": round(share, 2),
    }  # fmt: skip


def _share_of_runs(run: Run) -> float:
    """The share of an evaluation that ONNX Runtime's runs take."""
    plain, spent = Model.run, 0.0

    def timed(*given: Any, **options: Any) -> Any:
        nonlocal spent
        since = time.perf_counter()
        try:
            return plain(*given, **options)
        finally:
            spent += time.perf_counter() - since

    since = time.perf_counter()
    with mock.patch.object(Model, "run", timed):
        run()
    return spent / (time.perf_counter() - since)


def _maps(model: nn.Module, layer: str) -> Callable[[Array], list[Array]]:
    """What pytorch-grad-cam's methods make of a batch: maps [N, H, W] each."""
    cams: list[Any] = []
    for name in _METHODS.values():
        own = copy.deepcopy(model)
        part = own.get_submodule(layer)
        part.register_forward_hook(lambda _module, _inputs, output: output.clone())
        cams.append(getattr(pytorch_grad_cam, name)(model=own, target_layers=[part]))

    def maps(pixels: Array) -> list[Array]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [cam(torch.from_numpy(pixels), None) for cam in cams]

    return maps


def _grad_cam(model: nn.Module, layer: str, pixels: Array) -> Run:
    """Its own metric: each step's image is compared with the whole one."""
    maps, inputs = _maps(model, layer), torch.from_numpy(pixels)

    def mean_colour(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image * mask + image.mean(dim=(1, 2), keepdim=True) * (1 - mask)

    shares = np.linspace(0, 100, _STEPS + 1)[1:-1]
    metrics: list[Any] = [
        PerturbationConfidenceMetric(remove(share, mean_colour))
        for remove in (RemoveMostRelevantFirst, RemoveLeastRelevantFirst)
        for share in shares
    ]

    def run() -> None:
        targets = [ClassifierOutputSoftmaxTarget(0)]
        for one in maps(pixels):
            for metric in metrics:
                metric(inputs, one, targets, model, return_diff=False)

    return run


def _quantus(model: nn.Module, layer: str, pixels: Array) -> Run:
    """Pixel flipping, from the most and from the least important pixel."""
    quantus: Any = __import__("quantus")
    maps = _maps(model, layer)
    flipping: Any = quantus.PixelFlipping(
        features_in_step=pixels[0].size // _STEPS, normalise=False, perturb_baseline="mean",
        disable_warnings=True,
    )  # fmt: skip
    score = partial(flipping, model=model, x_batch=pixels, y_batch=np.zeros(1, np.int64))

    def run() -> None:
        for one in maps(pixels):
            for sign in (1, -1):
                score(a_batch=sign * one[:, None])

    return run
