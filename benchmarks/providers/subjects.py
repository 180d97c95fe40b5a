"""`CASES` lists the models and layers, and `job_of` makes what an engine is to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graftcam.exporter.graph.profiles import ProfileName

from ..runs import FIRST, batch, part_feeds
from ..session import open_session
from ..subjects import Artifact, Subjects
from ..truth import Array
from .job import Call, Job

_IMAGES, _CLASSES = 3, 2  # of the run whose values are compared
_SALIENCY = "saliency_map"  # what OpenVINO XAI calls its output


@dataclass(frozen=True)
class Case:
    """A model and a layer.

    Attributes:
        model: Name in torchvision, or ``timm:NAME``.
        layer: Module path; None: the automatic choice.
    """

    model: str
    layer: str | None = None

    @property
    def key(self) -> str:
        """Stable name."""
        return f"{self.model}/{self.layer or 'auto'}"


CASES = (
    Case("resnet18"),
    Case("resnet18", "layer2"),
    Case("resnet50", "layer2"),
    Case("mobilenet_v2"),
    Case("mobilenet_v2", "features.10"),
    Case("timm:vit_small_patch16_224"),
    Case("timm:vit_small_patch16_224", "blocks.6"),
    Case("timm:convnext_atto"),
    Case("timm:convnext_atto", "stages.1"),
)
"""The last layer and an inner one: convolutions with ReLU, light ones with ReLU6, attention. In
ResNet-50 square strided convolutions are above the layer, which OpenVINO has got wrong."""


@dataclass(frozen=True)
class Files:
    """What one case's engines run.

    Attributes:
        plain: The file that `torch.onnx.export` writes.
        part: The part above an inner layer. That above the last one takes less time than a round
            of the whole model varies: nothing can be measured in its units.
        artifact: What graftcam writes.
    """

    plain: Path
    part: Path | None
    artifact: Artifact

    @staticmethod
    def of(case: Case, subjects: Subjects, profile: ProfileName) -> Files:
        """Make them, or find them made."""
        return Files(
            subjects.plain(case.model),
            subjects.part(case.model, case.layer) if case.layer else None,
            subjects.artifact(case.model, case.layer, profile=profile),
        )


def job_of(
    files: Files, rounds: int, threads: int, seconds: float = 60, peer: Path | None = None
) -> Job:
    """Make the job: one image and class are timed, several are compared.

    Args:
        files: Of the case.
        rounds: How often each is timed, at most.
        threads: Of the engine.
        seconds: Time that the rounds should take.
        peer: A file that another package made of the plain one, to time beside it.
    """
    artifact, pixels = files.artifact, batch(1)
    name = open_session(files.plain).get_inputs()[0].name
    timed = {
        "plain": Call(files.plain, {name: pixels}, _outputs(files.plain)),
        "explained": Call(artifact.path, _asked(artifact, pixels, 1), artifact.fetched),
    }
    if files.part:
        timed["part"] = Call(
            files.part, part_feeds(open_session(files.part), pixels), _outputs(files.part)
        )
    if peer:
        timed["peer"] = Call(peer, {name: pixels}, [*_outputs(files.plain), _SALIENCY])
    return Job(timed, _compared(artifact), rounds, seconds, threads)


def reference(files: Files, threads: int, *, optimised: bool = True) -> dict[str, Array]:
    """What ONNX Runtime's CPU computes of the compared run.

    Without its optimisations it adds in another order: that shows how far rounding alone leads.
    """
    call = _compared(files.artifact)
    session = open_session(call.path, threads, optimised=optimised)
    return dict(zip(call.fetch, session.run(list(call.fetch), dict(call.feeds)), strict=True))


def roles(artifact: Artifact) -> Mapping[str, list[str]]:
    """Names of the compared outputs: the ``forward`` ones and those of the ``explanation``."""
    layer, spec = artifact.spec.layers[0], artifact.spec
    explanation = [layer.gradients, layer.heatmap]
    return {
        "forward": [n for n in _outputs(artifact.path) if n not in (*explanation, spec.classes)],
        "explanation": explanation,
    }


def _compared(artifact: Artifact) -> Call:
    feeds = _asked(artifact, batch(_IMAGES), _CLASSES)
    fetched = [name for names in roles(artifact).values() for name in names]
    return Call(artifact.path, feeds, fetched)


def _asked(artifact: Artifact, pixels: Array, classes: int) -> dict[str, Any]:
    found = artifact.feeds(pixels, range(FIRST, FIRST + classes))
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def _outputs(path: Path) -> list[str]:
    return [port.name for port in open_session(path).get_outputs()]
