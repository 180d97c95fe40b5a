"""Measures against pytorch-grad-cam, torch-cam and Quantus, on the same maps and images."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import quantus
import torch
from pytorch_grad_cam.metrics.road import (
    NoisyLinearImputer,
    ROADLeastRelevantFirst,
    ROADMostRelevantFirst,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torchcam.methods import GradCAM
from torchcam.metrics import ClassificationMetric

from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.evaluate.measures.masking import (
    as_mask,
    average_drop,
    increase,
    masked_confidences,
    sparseness,
)
from graftcam.runtime.tools.evaluate.measures.removal import curves, ranks_of, road
from graftcam.runtime.tools.evaluate.settings import Tuning
from graftcam.runtime.tools.evaluate.subjects import Subjects
from support.heads import with_head
from support.nets import Tiny, seeded

CLASSES = np.array([[2], [0], [4]])
SIZE = (24, 20)


@pytest.fixture(scope="module")
def path() -> Path:
    return with_head(Tiny, "relu2", SIZE)


@pytest.fixture(scope="module")
def subjects(path: Path) -> Subjects:
    noise = np.random.default_rng(0).normal(0, 1, (3, 3, *SIZE)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(i.transpose(1, 2, 0), (0, 0), 2) for i in noise])
    images = np.ascontiguousarray(6 * smooth.transpose(0, 3, 1, 2) + noise)
    session = Session(path, "cpu", 1)
    feeds = {"x": images, "class_index": CLASSES}
    return Subjects(MethodInput(session, feeds, "x", session.spec.layers[0]), 3)


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Maps [3, H, W] without ties."""
    grids = np.random.default_rng(1).random((3, 5, 4), np.float32)
    return np.stack([cv2.resize(grid, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for grid in grids])


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return seeded(Tiny())


def batch_of(subjects: Subjects) -> torch.Tensor:
    return torch.from_numpy(subjects.batch.feeds["x"])


@pytest.mark.parametrize("share", [10, 50, 80])
def test_road_is_pytorch_grad_cams(
    subjects: Subjects, maps: np.ndarray, model: torch.nn.Module, share: int
) -> None:
    found = road(subjects, [ranks_of(maps, 0)], Tuning(percentiles=(share,), road_noise=0))[0]
    targets = [ClassifierOutputSoftmaxTarget(int(c)) for c in CLASSES[:, 0]]
    # Their percentile says what stays.
    peers: list[Any] = [ROADLeastRelevantFirst(100 - share), ROADMostRelevantFirst(100 - share)]
    for peer in peers:
        peer.perturbation.imputer = NoisyLinearImputer(noise=0)
    least, most = (peer(batch_of(subjects), maps, targets, model) for peer in peers)
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(found, (least - most) / 2, rtol=1e-2, atol=2e-5)


def test_drop_and_increase_are_torch_cams(subjects: Subjects, model: torch.nn.Module) -> None:
    best = model(batch_of(subjects)).argmax(1).numpy()
    subjects, drops = subjects.with_classes(best), list[float]()
    for row, class_id in enumerate(best):
        extractor = GradCAM(model, "relu2")
        metric = ClassificationMetric(extractor, lambda logits: torch.softmax(logits, dim=-1))
        image = batch_of(subjects)[row : row + 1]
        metric.update(image, int(class_id))
        expected = metric.summary()
        with torch.enable_grad():
            (theirs,) = extractor(int(class_id), torch.softmax(model(image), dim=-1))
        extractor.remove_hooks()
        # Their map is stretched by its own minimum; the mask is theirs, the measure ours.
        mask = np.zeros((3, *SIZE), np.float32)
        mask[row] = torch.nn.functional.interpolate(
            theirs[None], SIZE, mode="bilinear", align_corners=False
        )[0, 0].numpy()
        after = masked_confidences(subjects, [mask])
        drop, rise = average_drop(subjects.confidence, after), increase(subjects.confidence, after)
        drops.append(drop[0, row])
        assert drop[0, row] == pytest.approx(expected["avg_drop"], abs=1e-5)
        assert rise[0, row] == expected["conf_increase"]
    assert max(drops) > 0.05


@pytest.mark.parametrize("measure", ["deletion", "insertion"])
def test_curves_are_quantus_pixel_flips(
    subjects: Subjects, maps: np.ndarray, model: torch.nn.Module, measure: str
) -> None:
    steps, sign = 24, 1 if measure == "deletion" else -1
    tuning = Tuning(steps=steps, deletion_fill="zero", insertion_fill="zero")
    found = curves(subjects, [ranks_of(maps, 0)], tuning, [measure])[measure][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flipping = quantus.PixelFlipping(
            features_in_step=3 * SIZE[0] * SIZE[1] // steps,
            normalise=False,
            perturb_baseline=0.0,
            disable_warnings=True,
        )
        flipped = flipping(
            model=model, x_batch=subjects.batch.feeds["x"].copy(), y_batch=CLASSES[:, 0],
            a_batch=sign * maps[:, None], softmax=True, channel_first=True,
        )  # fmt: skip
    # Removing from the least important on is insertion backwards; theirs begins after a step.
    theirs = np.array(flipped)
    ours = found[:, 1:] if measure == "deletion" else found[:, ::-1][:, 1:]
    assert np.ptp(theirs) > 0.05
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_sparseness_is_quantus(maps: np.ndarray, subjects: Subjects) -> None:
    positive = as_mask(maps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gini: Any = quantus.Sparseness(normalise=False, abs=False, disable_warnings=True)
        expected = gini(
            model=seeded(Tiny()), x_batch=subjects.batch.feeds["x"], y_batch=CLASSES[:, 0],
            a_batch=positive[:, None] + 1e-9, channel_first=True,
        )  # fmt: skip
    np.testing.assert_allclose(sparseness(positive), expected, atol=3e-3)
