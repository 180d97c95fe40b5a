"""A `Spec` is the artifact's metadata: names of inputs and outputs, their meaning, the version.

The exporter writes it to ``metadata_props["graftcam"]`` of the ONNX file. The runtime parses it
strictly: it refuses an unknown field or a newer version. This module needs the standard library
only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from .attention import Attention
from .bounds import (
    Axis,
    Count,
    FileName,
    Labels,
    Length,
    MethodId,
    Name,
    Positive,
    Range,
    Side,
    Version,
)
from .checks import matches, short
from .detector import Detector
from .errors import InputError, SpecError
from .records import Fault, Record, parse_record, written
from .settings import ScoredOutput, ScoreRecord, Settings
from .strict_json import read_json

SPEC_VERSION = 1  # of artifacts that need nothing newer
OUTPUTS_VERSION = 2  # of artifacts that explain several outputs, or boxes
ATTENTION_VERSION = 3  # of artifacts that explain by attention
NEWEST_VERSION = 3  # that this runtime reads
METADATA_KEY = "graftcam"

_SIDES = Annotated[Sequence[Annotated[float, Range(0, 1 << 31)]], Length(1)]
Layout = Literal["channels_first", "channels_last", "tokens", "instances"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ResizeMode = Literal["shorter", "longer", "exact", "fit", "cover"]
Anchor = Literal["lower", "top_left"]
Channels = Literal["bgr", "grey"]
Scale = Annotated[float, Range(1e-12, 1e12)]  # beyond it float32 overflows
Mean = Annotated[float, Range(-1e12, 1e12)]
Error = Annotated[float, Range(0)]
Verdict = Literal["pass", "fail", "skipped", "unproven"]


@dataclass(frozen=True)
class Head:
    """The model from a target layer to the score, an artifact in its own file beside this one.

    Attributes:
        file: Name of the file.
        inputs: For each of its inputs, by name, the output or input of this artifact that feeds it.
        outputs: Outputs of this artifact that exist only for heads; not in the JSON if there are
            none.
    """

    file: FileName
    inputs: dict[Name, Name]
    outputs: list[Name] | None = None


@dataclass(frozen=True)
class Layer(Record):
    """One target layer and the outputs that describe it.

    Attributes:
        name: The layer as the user named it (module path, value or node name).
        value: The ONNX value of the layer's output.
        layout: Axis order of the layer's output in the model; the artifact's outputs are
            channel-first. ``instances`` is [N * instances, C, *space], of which the artifact makes
            [N, C, instances, *space].
        grid: Spatial shape of the map; None for a dynamic extent.
        prefix_tokens: Tokens before the grid (class, distillation, register) for ``tokens``.
        heatmap: Name of the output, float [N, K, *space].
        activations: Name of the output, float [N, C, *space].
        gradients: Name of the output, float [N, K, C, *space].
        methods: Names of the outputs, float [N, K, *space], of further methods in the artifact, by
            their ids; not in the JSON if there are none.
        head: The head, if it was exported; else not in the JSON.
        input_axes: The input's axes that those of the grid run along (the batch is axis 0), where
            they run in another order; else not in the JSON.
        method: The method of `heatmap`, if it is not Grad-CAM; else not in the JSON.
        suffix_tokens: Tokens behind the grid (those of a detector, for example) for ``tokens``; not
            in the JSON if there are none.
    """

    name: Name
    value: Name
    layout: Layout
    grid: Annotated[list[Positive | None], Length(1, 8)]
    prefix_tokens: Count
    heatmap: Name
    activations: Name
    gradients: Name
    methods: dict[MethodId, Name] | None = None
    head: Head | None = None
    input_axes: list[Axis] | None = None
    method: MethodId | None = None
    suffix_tokens: Count | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        axes = self.input_axes
        if axes is not None and not len({*axes}) == len(axes) == len(self.grid):
            yield "input_axes", f"a different axis for each of the {len(self.grid)} of the grid"

    @property
    def baked(self) -> dict[str, str]:
        """Names of all outputs that are maps, by method id."""
        return {self.method or "gradcam": self.heatmap, **(self.methods or {})}

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs that describe the layer."""
        return [*self.baked.values(), self.activations, self.gradients]


@dataclass(frozen=True)
class FusedMaps(Record):
    """The maps of all target layers in one, which the artifact makes.

    Attributes:
        method: The method of the layers' maps.
        maps: Names of the outputs, float32 [N, K, *space] on the largest extent of the layers'
            grids along each axis, by how they are fused: ``mean``, ``max``, ``product``,
            ``refine``.
    """

    method: MethodId
    maps: dict[MethodId, Name]

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        if not self.maps:
            yield "maps", "one map or more"


@dataclass(frozen=True)
class Preprocess(Record):
    """The training transform from an RGB uint8 image to the model's input.

    Resize, then crop (with padding if the image is smaller), then ``(pixel * scale - mean) / std``.
    The defaults are those of torchvision's ImageNet classifiers. Fields after ``layout`` are not in
    the JSON where they are None; a runtime that does not know one refuses the artifact.

    Attributes:
        input: Name of the graph input that takes the image; ``""`` for the first that takes one.
        size: Height and width of the model's input.
        resize: Target of the resize; None for no resize, ``()`` for 256/224 of the size.
        resize_mode: ``shorter``: the shorter side becomes ``resize[0]`` with the same aspect ratio,
            and the other side is rounded down (torchvision); ``longer``: the same with the longer
            side, and the other side is rounded (timm); ``exact``: both sides become ``resize``;
            ``fit``, ``cover``: the aspect ratio stays, and the image becomes the largest inside
            ``resize``, or the smallest around it, with both sides rounded (letterbox; timm).
        interpolation: Filter of the resize, antialiased as in Pillow and torchvision.
        scale: Factor on the uint8 values before normalisation.
        mean: Per channel, in units after ``scale``; one entry means a greyscale
            model, or to an export the same for all channels.
        std: Per channel, likewise.
        layout: Axis order of the model's input.
        embedded: The graph contains the transform, and ``input`` takes unchanged images: RGB
            uint8 [N, height, width, 3] of any size.
        longest: For ``shorter``: the most that the longer side may become; the shorter one then
            becomes smaller, rounded down (``max_size`` of torchvision).
        antialias: False: a resize to a smaller size does not average (OpenCV, TensorFlow).
        anchor: Where the crop lies, and the image in its padding. None: in the centre, halves are
            rounded to even (torchvision); ``lower``: likewise, halves are rounded down
            (transformers); ``top_left``: at the first row and column.
        fill: Level of the padding, 0 to 255, one or for each channel; None: black.
        channels: Channels of the model's input: ``bgr``; ``grey``: the luma in each of them. None:
            RGB, or with one ``mean`` the luma.

    Raises:
        InputError: A number is given in place of a sequence.
    """

    input: str = ""
    size: Annotated[Sequence[Side], Length(2, 2)] = (224, 224)
    resize: Annotated[Sequence[Side], Length(1, 2)] | None = ()
    resize_mode: ResizeMode = "shorter"
    interpolation: Interpolation = "bilinear"
    scale: Scale = 1 / 255
    mean: Sequence[Mean] = (0.485, 0.456, 0.406)
    std: Sequence[Scale] = (0.229, 0.224, 0.225)
    layout: Literal["nchw", "nhwc"] = "nchw"
    embedded: bool | None = None
    longest: Side | None = None
    antialias: Literal[False] | None = None
    anchor: Anchor | None = None
    fill: Sequence[Annotated[int, Range(0, 255)]] | None = None
    channels: Channels | None = None

    def __post_init__(self) -> None:
        """Store lists, as JSON gives them, and the resize that ``()`` stands for."""
        for name in ("size", "resize", "mean", "std", "fill"):
            value: Any = getattr(self, name)
            if value is not None and not hasattr(value, "__iter__"):
                raise InputError(
                    f"{name}={value!r} is a single number; give size=(height, width), "
                    "resize=(shorter side,), and mean, std and fill with a number for each channel"
                )
            object.__setattr__(self, name, None if value is None else list(value))
        if self.resize == [] and not matches(self.size, _SIDES):
            object.__setattr__(self, "resize", None)  # `faults_of` refuses such a size
        elif self.resize == []:
            sides = [round(side * 256 / 224) for side in self.size]
            one_side = self.resize_mode in ("shorter", "longer")
            object.__setattr__(self, "resize", [min(sides)] if one_side else sides)

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        channels = len(self.mean)
        if channels not in (1, 3):
            yield "mean", "1 or 3 numbers"
        if len(self.std) != channels:
            yield "std", f"{channels} numbers, as many as mean"
        if self.fill is not None and len(self.fill) not in (1, channels):
            yield "fill", f"one level, or {channels}, as many as mean"

    @property
    def is_grey(self) -> bool:
        """Whether the model sees the luma of the image."""
        return len(self.mean) == 1 or self.channels == "grey"


@dataclass(frozen=True)
class Verification(Record):
    """The exporter's verdict on the artifact, with its errors and thresholds.

    Attributes:
        verdict: ``pass``, ``fail``, ``skipped``, or ``unproven``: no check failed, but some could
            not be made, or not in the time that was given, and the user accepted that.
        reference: ``autograd-float64``, ``finite-differences``, the same
            ``-straight-through`` (gradients pass quantisers as if nothing were rounded),
            ``artifact`` (a head, compared with its artifact), or ``none``.
        images: Number of random inputs.
        seed: Their seed.
        errors: Relative L2 error of each checked tensor: the largest, or the median over the inputs
            where one of them lies at a kink and the median decided.
        thresholds: The bound of each error.
        checks: The status of each check of `graftcam verify`, by name; older artifacts have none.
        onnxruntime: The version of ONNX Runtime that ran it; likewise.
        unproven: What is not proven, and why; not in the JSON if there is nothing.
        engine: What ran it instead of ONNX Runtime's CPU, with its version; else not in the JSON.
    """

    verdict: Verdict
    reference: Literal[
        "autograd-float64", "finite-differences", "finite-differences-straight-through",
        "artifact", "none",
    ]  # fmt: skip
    images: Count = 0
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    errors: dict[Name, Error] = field(default_factory=dict[str, float])
    thresholds: dict[Name, Error] = field(default_factory=dict[str, float])
    checks: dict[Name, Verdict] | None = None
    onnxruntime: Version | None = None
    unproven: list[str] | None = None
    engine: str | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        for name in self.errors:
            if name not in self.thresholds:
                yield "thresholds", f"a threshold for each error, also for {short(name)}"

    def worst(self) -> str:
        """Describe the largest error and its threshold."""
        name = max(self.errors, key=self.errors.__getitem__)
        error, bound = self.errors[name], self.thresholds[name]
        return f"largest relative error {error:.1e} ({name}, threshold {bound:.1e})"


@dataclass(frozen=True)
class Spec(Record):
    """Everything that a consumer needs to know about an artifact beside its inputs and outputs.

    Attributes:
        version: Version of this contract.
        class_index: Name of the input, int64 [N or 1, K]; None if `score_weights` replaces it.
        classes: Name of the output, int64 [N, K]; None likewise.
        scores: Name of the output, float [N, K].
        score: The score that is differentiated.
        layers: The target layers, in the order of the request.
        labels: Class names by id, or None.
        preprocess: The training transform, or None if the caller feeds tensors.
        source: The source of the model: ``name``, ``graph_sha256``, ``weights_sha256``.
        tools: Versions of the packages that wrote the file.
        verification: The exporter's verdict.
        region: Name of the input, float32 [N or 1, K or 1, *positions], if the scores have
            positions; else not in the JSON.
        profile: The profile, if it is not the default; else not in the JSON.
        input_gradients: Name of the output, float32 [N, K, *input]: the scores' gradient with
            respect to the image input, in that input's layout; optional, likewise.
        guided_gradients: The same by the rule of guided backpropagation; optional, likewise.
        deconvnet_gradients: The same by the deconvnet's rule; optional, likewise.
        fullgrad: Name of the output, float32 [N, K, *space of the input]: the map of FullGrad;
            optional, likewise.
        fullgrad_sum: Name of the output, float32 [N, K]: what the terms of FullGrad sum up to,
            which is the score but for rounding; goes with `fullgrad`.
        score_weights: Name of the input, float32 [N or 1, K, *output], with the weights of a
            ``linear`` score; optional, likewise.
        settings: The settings of the export; heads and older artifacts have none.
        output_index: Name of the input, int64 [N or 1, K], with the place in `outputs` that each
            class is one of, if there are several; else not in the JSON.
        outputs: The outputs that can be explained, the first of which `score` and `labels` are
            about; likewise.
        detector: How a detector's boxes are requested and found; from version 2 on, and only of
            detectors.
        attention: The model's attention, if it was exported; from version 3 on.
        fused: The maps of all layers in one, if the artifact makes any; else not in the JSON.
    """

    version: Annotated[int, Range(SPEC_VERSION, NEWEST_VERSION)]
    class_index: Name | None
    classes: Name | None
    scores: Name
    score: ScoreRecord
    layers: Annotated[list[Layer], Length(1)]
    labels: Labels | None
    preprocess: Preprocess | None
    source: dict[Name, str]
    tools: dict[Name, Version]
    verification: Verification
    region: Name | None = None
    profile: Literal["web", "webgpu", "cuda", "openvino"] | None = None
    input_gradients: Name | None = None
    guided_gradients: Name | None = None
    deconvnet_gradients: Name | None = None
    fullgrad: Name | None = None
    fullgrad_sum: Name | None = None
    score_weights: Name | None = None
    settings: Settings | None = None
    output_index: Name | None = None
    outputs: list[ScoredOutput] | None = None
    detector: Detector | None = None
    attention: Attention | None = None
    fused: FusedMaps | None = None

    @property
    def own_inputs(self) -> list[str]:
        """Names of the inputs that the model itself does not have."""
        names = (self.class_index, self.region, self.score_weights, self.output_index)
        of_boxes = () if self.detector is None else self.detector.own_inputs
        return [*(name for name in names if name is not None), *of_boxes]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs that can be explained, in the order of `output_index`."""
        return [one.score.output for one in self.outputs or [ScoredOutput(self.score, None)]]

    @property
    def place(self) -> int:
        """The value of `output_index` for the output that `score` is about."""
        return self.output_names.index(self.score.output)

    def about(self, place: int) -> Spec:
        """Return the metadata with `score` and `labels` of the output at ``place``."""
        if self.outputs is None:
            return self
        return replace(self, score=self.outputs[place].score, labels=self.outputs[place].labels)

    def by_output(self) -> list[Spec]:
        """Return the metadata about each output that can be explained."""
        return [self.about(place) for place in range(len(self.output_names))]

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        if self.detector is not None and self.version < OUTPUTS_VERSION:
            yield "version", f"{OUTPUTS_VERSION}, which has detectors"
        if self.attention is not None and self.version < ATTENTION_VERSION:
            yield "version", f"{ATTENTION_VERSION}, which has attention"
        names = [layer.name for layer in self.layers]
        if len({*names}) < len(names):
            yield "layers", "layers of different names"
        outputs = [name for layer in self.layers for name in layer.outputs]
        further = (self.classes, self.scores, *self.of_input.values(), *self.of_fullgrad)
        outputs += [name for name in further if name]
        outputs += [] if self.attention is None else self.attention.outputs
        outputs += self.of_all_layers
        if self.fused is not None and len(self.layers) < 2:
            yield "fused", "left out where there is one layer"
        if (self.fullgrad is None) != (self.fullgrad_sum is None):
            yield "fullgrad_sum", "the name of an output beside fullgrad"
        if len({*outputs}) < len(outputs):
            yield "layers", "layers with an output of its own for each tensor"
        for key, value in self.source.items():
            if key.endswith("_sha256") and not re.fullmatch("[0-9a-f]{64}", value):
                yield "source", f"a record whose {short(key)} is 64 hexadecimal digits"

    def check_outputs(self) -> None:
        """Check the part of a record that is about several outputs.

        Raises:
            SpecError: It contradicts itself, or is in a record of a version that has no such part.
        """
        if self.outputs is None and self.output_index is None:
            return
        several, names = len(self.outputs or ()) > 1, self.output_names
        distinct = len(set(names)) == len(names)
        first = several and self.about(0) == self
        if self.version < OUTPUTS_VERSION or not (first and distinct and self.output_index):
            raise SpecError(
                f"graftcam metadata of version {self.version} has outputs {names} and output_index "
                f"{self.output_index!r}, which do not fit each other; export again"
            )

    @property
    def selector(self) -> str:
        """Name of the input that selects the K scores to explain, along its axis 1."""
        return self.own_inputs[0]

    @property
    def of_input(self) -> dict[str, str]:
        """Names of the outputs for the image input, by field."""
        names = ("input_gradients", "guided_gradients", "deconvnet_gradients")
        return {name: output for name in names if (output := getattr(self, name)) is not None}

    @property
    def of_fullgrad(self) -> list[str]:
        """Names of the outputs of FullGrad: the map, and its sum."""
        return [name for name in (self.fullgrad, self.fullgrad_sum) if name is not None]

    @property
    def of_all_layers(self) -> list[str]:
        """Names of the outputs that are maps of all layers in one."""
        return [] if self.fused is None else [*self.fused.maps.values()]

    @property
    def own_outputs(self) -> list[str]:
        """Names of the outputs that the model itself does not have."""
        classes = [] if self.classes is None else [self.classes]
        maps = [name for layer in self.layers for name in layer.outputs]
        heads = [name for layer in self.layers if layer.head for name in layer.head.outputs or []]
        boxes = () if self.detector is None else self.detector.own_outputs
        attention = [] if self.attention is None else self.attention.outputs
        of_input = (*self.of_input.values(), *self.of_fullgrad, *self.of_all_layers)
        similarities = [self.score.output] if self.score.has_bank else []
        found = [*classes, self.scores, *maps, *of_input, *heads, *boxes, *attention]
        found += similarities
        return list(dict.fromkeys(found))

    def to_json(self) -> str:
        """Serialise with sorted keys, so that the same record gives the same bytes."""
        data = written(self)
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Spec:
        """Parse strictly.

        Raises:
            SpecError: Not JSON, a newer version, or a missing, unknown or ill-typed field, or one
                out of its bounds.
        """
        try:
            data = read_json(text)
        except ValueError as error:
            raise SpecError(
                f"graftcam metadata is not valid JSON ({error}); export again"
            ) from None
        version = data.get("version") if isinstance(data, dict) else None
        if not isinstance(version, int) or isinstance(version, bool):
            raise SpecError("graftcam metadata has no version; export again")
        if version > NEWEST_VERSION:
            raise SpecError(
                f"artifact follows graftcam spec {version}, this runtime supports up to "
                f"{NEWEST_VERSION}; upgrade graftcam"
            )
        spec = parse_record(Spec, data, "graftcam")
        spec.check_outputs()
        return spec
