"""An `Artifact` is the file under verification, with its metadata and its session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.session.session import defaults_of
from ....runtime.spec import Spec
from ...graph.ort_session import Level, Where, is_level
from ...memory import give_back
from .box_tables import choose_boxes
from .embedded import Embedded
from .running import Array, Tensors, load_session, run_session


@dataclass(frozen=True)
class Port:
    """An input or output, as ONNX Runtime describes it.

    Attributes:
        name: Its name.
        type: ONNX Runtime's name for its type.
        shape: Its extents; text or None for open ones.
    """

    name: str
    type: str
    shape: list[Any]


@dataclass
class Artifact:
    """An artifact under verification.

    Attributes:
        path: The file.
        spec: Its metadata.
        inside: The training transform, where it is part of the artifact.
        level: ONNX Runtime's optimisation level, or the engine that runs the file instead.
    """

    path: Path
    spec: Spec
    inside: Embedded | None = None
    level: Where = "all"

    @cached_property
    def session(self) -> Any:
        """Opened at first use; `close` frees its memory."""
        return load_session(self.path, level=self.level)

    @property
    def on_cpu(self) -> Artifact:
        """The same on ONNX Runtime's CPU: itself, unless another engine runs it."""
        return self if is_level(self.level) else replace(self, level="all")

    @property
    def cpu_level(self) -> Level:
        """The level of `on_cpu`."""
        return self.level if is_level(self.level) else "all"

    def about(self, place: int) -> Artifact:
        """The same file, in the same session, about the output at ``place`` of several."""
        other = replace(self, spec=self.spec.about(place))
        other.session = self.session
        return other

    def close(self) -> None:
        """Close the session, if it is open: large weights should not be in memory twice."""
        if vars(self).pop("session", None) is not None:
            give_back()

    @cached_property
    def ports(self) -> tuple[list[Port], list[Port]]:
        """The inputs that have no default, and the outputs; they stay when the session closes."""
        sides = self.session.get_inputs(), self.session.get_outputs()
        taken, given = ([Port(one.name, one.type, one.shape) for one in side] for side in sides)
        return taken, given

    @property
    def inputs(self) -> list[Port]:
        """The model's own inputs."""
        return [one for one in self.ports[0] if one.name not in self.spec.own_inputs]

    @property
    def outputs(self) -> list[str]:
        """Names of the model's own outputs."""
        return [one.name for one in self.ports[1] if one.name not in self.spec.own_outputs]

    @property
    def batch(self) -> int | None:
        """The number of images of every run, where the artifact fixes it."""
        extents = [one.shape[0] for one in self.inputs if one.shape]
        if any(not isinstance(extent, int) for extent in extents):
            return None
        scores = next(one for one in self.ports[1] if one.name == self.spec.scores)
        return scores.shape[0] if scores.shape[0] in extents else extents[0]

    @property
    def batched(self) -> set[str]:
        """Names of the model's own inputs whose first axis is that of the images.

        Others are the same for all images, such as the texts that every image is compared with.
        """
        batch = self.batch
        first = {one.name: one.shape[0] for one in self.inputs if one.shape}
        return {n for n, e in first.items() if e == batch or not isinstance(e, int)}

    def images_in(self, feeds: Mapping[str, Array]) -> int:
        """How many images the model's own inputs hold."""
        return next(len(feeds[name]) for name in feeds if name in self.batched)

    @property
    def open_sizes(self) -> bool:
        """Whether the model's inputs have open axes beside the batch."""
        return any(not isinstance(extent, int) for one in self.inputs for extent in one.shape[1:])

    @property
    def image(self) -> int:
        """Place of the image among the inputs of an artifact that gives its gradient."""
        if self.spec.preprocess is not None:
            return [one.name for one in self.inputs].index(self.spec.preprocess.input)
        floats = ("float" in one.type or "double" in one.type for one in self.inputs)
        return list(floats).index(True)

    @property
    def class_wise(self) -> set[str]:
        """Names of the outputs whose second axis is that of the explained classes.

        Baked methods are left out: some contrast classes, so a map depends on the other classes.
        """
        spec = self.spec
        maps = {name for layer in spec.layers for name in (layer.heatmap, layer.gradients)}
        classes = set[str]() if spec.classes is None else {spec.classes}
        boxes = () if spec.detector is None else spec.detector.requested
        of_input = (*spec.of_input.values(), *spec.of_fullgrad)
        return {*classes, spec.scores, *maps, *of_input, *boxes}

    def source_feeds(self, feeds: Tensors) -> Tensors:
        """What the model that the artifact was made from takes instead of ``feeds``."""
        return feeds if self.inside is None else self.inside.source_feeds(feeds)

    def run(self, feeds: Mapping[str, Array], region: Array | None = None) -> Tensors:
        """All outputs by name; with ``region``, K doubled: for all positions, then for the region.

        Added inputs that are not fed, and have no default in the file, take the usual one.
        """
        spec, ranks = self.spec, {one.name: len(one.shape) for one in self.ports[0]}
        feeds = {**defaults_of(spec, ranks), **feeds}
        plain = run_session(self.session, feeds)
        if spec.region is None or region is None:
            return plain
        part = run_session(self.session, {**feeds, spec.region: region})
        both = {n: np.concatenate([plain[n], part[n]], axis=1) for n in self.class_wise}
        return {**plain, **both}

    def request(self, selected: Array) -> Tensors:
        """The inputs that ask for ``selected``; see `FirstRun.selected`."""
        detector = self.spec.detector
        if detector is None:
            return {self.spec.selector: selected}
        names = (self.spec.selector, detector.box_index, detector.box_target)
        return dict(zip(names, np.moveaxis(selected, 2, 0), strict=True))

    def choose(self, feeds: Mapping[str, Array], seed: int, count: int) -> Tensors:
        """The best ``count`` classes or boxes, or as many random `score_weights`, as feeds."""
        spec = self.spec
        if spec.detector is not None:
            plain = self.run({**feeds, spec.selector: np.zeros((1, 0), np.int64)})
            return self.request(choose_boxes(spec, plain, count))
        if spec.score_weights is None:
            ranks = -1 - np.arange(min(count, spec.score.classes), dtype=np.int64)
            return {spec.selector: ranks[None, :]}
        port = next(one for one in self.ports[0] if one.name == spec.score_weights)
        extents = [extent if isinstance(extent, int) else 1 for extent in port.shape[2:]]
        none = {**feeds, spec.score_weights: np.zeros((1, 0, *extents), np.float32)}
        # Extents that the file leaves open are known from a run only.
        rows, *shape = self.run(none)[spec.score.output].shape
        drawn = np.random.default_rng(seed).standard_normal((rows, count, *shape), np.float32)
        return {spec.score_weights: drawn}
