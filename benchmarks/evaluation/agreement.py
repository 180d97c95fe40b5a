"""`agreement` compares measures with those of other packages: ten photographs, the same maps.

The model is EfficientNet-Lite0 with its ImageNet weights. Each map is LayerCAM's at the last layer,
without ties. Xplique scores a twin of the model in Keras, in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import quantus
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import (
    NoisyLinearImputer,
    ROADLeastRelevantFirst,
    ROADMostRelevantFirst,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import nn
from torchcam.methods import GradCAM
from torchcam.metrics import ClassificationMetric

from graftcam.exporter import TorchExport, export
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.evaluate.measures.masking import (
    average_drop,
    increase,
    masked_confidences,
)
from graftcam.runtime.tools.evaluate.measures.removal import area, curves, ranks_of, road
from graftcam.runtime.tools.evaluate.settings import Tuning
from graftcam.runtime.tools.evaluate.subjects import Subjects

from ..field.packages import CACHE
from ..migration.environments import python_of
from ..migration.subject import Subject, load_subject
from ..script import ROOT, say
from .photographs import pixels_of, ten

_LAYER, _SHARES, _STEPS = "head_relu", (20, 40, 60, 80), 48
Values = NDArray[Any]


def agreement(environments: Path) -> list[dict[str, Any]]:
    """Return a record for each measure and package: the largest difference, and why."""
    subject = load_subject(CACHE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = pixels_of(ten(folder / "photographs"))
        path = folder / "model.onnx"
        trace = TorchExport(input_names=["x"])
        export(subject.model, path, (torch.from_numpy(pixels[:1]),), layers=_LAYER, verify="off",
               extras=["layercam"], trace=trace)  # fmt: skip
        session = Session(path, "cpu")
        feeds = {"x": pixels, "class_index": np.array([[-1]])}
        got = session.run(feeds)
        feeds["class_index"] = got["classes"]
        subjects = Subjects(MethodInput(session, feeds, "x", session.spec.layers[0]), len(pixels))
        maps = _maps(got["heatmap.layercam"][:, 0])
        classes = got["classes"][:, 0]
        return [
            *_road(subjects, maps, subject.model, pixels, classes),
            *_drop(subjects, subject.model, pixels, classes),
            *_flips(subjects, maps, subject.model, pixels, classes),
            *_xplique(subjects, maps, subject, pixels, classes, folder, environments),
        ]


def _maps(raw: Values) -> Values:
    """Maps [N, 224, 224] without ties, from 0 to 1."""
    large = np.stack([cv2.resize(one, (224, 224), interpolation=cv2.INTER_CUBIC) for one in raw])
    ranks = large.reshape(len(large), -1).argsort(axis=1, kind="stable").argsort(axis=1)
    return (ranks / ranks.max()).astype(np.float32).reshape(large.shape)


def _record(measure: str, peer: str, package: str, ours: Values, theirs: Values, why: str) -> Any:
    difference = float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())
    say(f"{measure}, {peer}: {difference:.1e}")
    return {
        "measure": measure, "package": peer, "version": metadata.version(package)
        if package else "", "photographs": len(ours), "mean": float(np.mean(ours)),
        "difference": difference, "why": why,
    }  # fmt: skip


def _road(
    subjects: Subjects, maps: Values, model: nn.Module, pixels: Values, classes: Values
) -> list[Any]:
    ours = road(subjects, [ranks_of(maps, 0)], Tuning(percentiles=_SHARES, road_noise=0))[0]
    targets, parts = [ClassifierOutputSoftmaxTarget(int(c)) for c in classes], list[Values]()
    for share in _SHARES:
        peers: list[Any] = [ROADLeastRelevantFirst(100 - share), ROADMostRelevantFirst(100 - share)]
        for peer in peers:
            peer.perturbation.imputer = NoisyLinearImputer(noise=0)
        least, most = (peer(torch.from_numpy(pixels), maps, targets, model) for peer in peers)
        parts.append((least - most) / 2)
    why = "its equations are solved exactly, ours to a thousandth of the range; without noise"
    return [_record("road", "pytorch-grad-cam", "grad-cam", ours, np.mean(parts, axis=0), why)]


def _drop(subjects: Subjects, model: nn.Module, pixels: Values, classes: Values) -> list[Any]:
    theirs, ours = list[Any](), list[Any]()
    for row, class_id in enumerate(classes):
        extractor = GradCAM(model, _LAYER)
        metric = ClassificationMetric(extractor, lambda logits: torch.softmax(logits, dim=-1))
        image = torch.from_numpy(pixels[row : row + 1])
        metric.update(image, int(class_id))
        said = metric.summary()
        (small,) = extractor(int(class_id), torch.softmax(model(image), dim=-1))
        extractor.remove_hooks()
        mask = np.zeros(subjects.images.shape[:3], np.float32)
        mask[row] = torch.nn.functional.interpolate(
            small[None], (224, 224), mode="bilinear", align_corners=False
        )[0, 0].numpy()
        after, before = masked_confidences(subjects, [mask]), subjects.confidence
        ours.append((average_drop(before, after)[0, row], increase(before, after)[0, row]))
        theirs.append((said["avg_drop"], said["conf_increase"]))
    one, other = np.array(ours), np.array(theirs)
    same = "on its mask, which is stretched by its own minimum"
    return [
        _record("average-drop", "torch-cam", "torchcam", one[:, 0], other[:, 0], same),
        _record("increase", "torch-cam", "torchcam", one[:, 1], other[:, 1], same),
    ]


def _flips(
    subjects: Subjects, maps: Values, model: nn.Module, pixels: Values, classes: Values
) -> list[Any]:
    tuning = Tuning(steps=_STEPS, deletion_fill="zero", insertion_fill="zero")
    found = curves(subjects, [ranks_of(maps, 0)], tuning, ["deletion", "insertion"])
    kind: Any = quantus.PixelFlipping
    flipping = kind(
        features_in_step=pixels[0].size // _STEPS, normalise=False, perturb_baseline=0.0,
        disable_warnings=True,
    )  # fmt: skip
    records: list[Any] = []
    for measure, sign in (("deletion", 1), ("insertion", -1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flipped = np.array(flipping(
                model=model, x_batch=pixels.copy(), y_batch=classes, a_batch=sign * maps[:, None],
                softmax=True, channel_first=True,
            ))  # fmt: skip
        curve = found[measure][0]
        ours = curve[:, 1:] if sign > 0 else curve[:, ::-1][:, 1:]
        # Its steps count channels: every third ends at a whole pixel.
        whole = slice(2, None, 3)
        why = "points of the curve at which its steps, which count channels, end at whole pixels"
        why += "" if sign > 0 else "; its flips from the least important pixel on"
        both = ours[:, whole], flipped[:, whole]
        records.append(_record(f"{measure}, the curve", "Quantus", "quantus", *both, why))
    return records


def _xplique(
    subjects: Subjects,
    maps: Values,
    subject: Subject,
    pixels: Values,
    classes: Values,
    folder: Path,
    environments: Path,
) -> list[Any]:
    tuning = Tuning(steps=_STEPS, deletion_fill="zero", insertion_fill="zero")
    found = curves(subjects, [ranks_of(maps, 0)], tuning, ["deletion", "insertion"])
    given, taken = folder / "given.npz", folder / "taken.npz"
    state = {name: value for name, value in subject.state().items() if name != "pixels"}
    arrays: dict[str, Any] = {
        **state, "pixels": pixels.transpose(0, 2, 3, 1), "maps": maps, "classes": classes,
        "steps": _STEPS,
    }  # fmt: skip
    np.savez(given, **arrays)
    command = [str(python_of("Xplique", environments)), "-m",
               "benchmarks.evaluation.xplique_scores", str(given), str(taken)]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Xplique: {done.stderr.strip()[-1500:]}")
    why = "a twin in Keras; its steps are rounded down to a pixel less here and there"
    with np.load(taken) as theirs:
        records = [
            _record(measure, "Xplique", "", area(found[measure])[0], theirs[measure], why)
            for measure in found
        ]
        return [record | {"version": str(theirs["version"])} for record in records]
