"""A `Spec` is the artifact's metadata: names of inputs and outputs, their meaning, the version.

The runtime parses it strictly: it refuses an unknown field or a newer version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from ..bounds import Labels, Length, Name, Range, Version
from ..checks import short
from ..errors import SpecError
from ..records import Fault, Record, parse_record, written
from ..settings import ScoredOutput, ScoreRecord, Settings
from ..strict_json import read_json
from .attention import Attention
from .detector import Detector
from .layers import FusedMaps, Layer
from .preprocessing import Preprocess
from .verdict import Verification

SPEC_VERSION = 1  # of artifacts that need nothing newer
OUTPUTS_VERSION = 2  # of artifacts that explain several outputs, or boxes
ATTENTION_VERSION = 3  # of artifacts that explain by attention
NEWEST_VERSION = 3  # that this runtime reads
METADATA_KEY = "graftcam"


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
