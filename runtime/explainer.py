"""Explainer: the steps from pictures to explanations, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from .asking import ask, check_method
from .choose import Classes, check_index, choose_classes, choose_layer
from .errors import ImageError, InputError
from .explanation import Explanation
from .images import Image, as_rgb, is_batch, picture_names
from .preprocess import Placement, place, prepare
from .providers import Provider
from .question import Progress, Question
from .region import Region, Weights, as_weights, check_region, per_picture
from .render import map_status
from .scores import probabilities
from .session import Session, Tensors
from .spec import Layer, Preprocess

MAX_BATCH = 16


@dataclass(frozen=True)
class _Request:
    """What to ask the artifact about every picture of a batch."""

    transform: Preprocess
    indices: list[int]
    layer: Layer
    method: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    progress: Progress | None = None


class Explainer:
    """An artifact, ready to explain pictures; safe to share between threads.

    Attributes:
        path: The artifact's file.
        spec: Its metadata.
        provider: The ONNX Runtime execution provider that it runs on.
    """

    def __init__(
        self,
        path: str | Path,
        providers: str | Sequence[Provider] | None = None,
        threads: int | None = None,
    ) -> None:
        """Open an artifact.

        Args:
            path: A file that ``graftcam export`` wrote.
            providers: ONNX Runtime's execution providers, best first, as ``"cuda"``,
                ``"CUDAExecutionProvider"`` or ``("cuda", {"device_id": 1})``; None: CUDA where it
                is there, else the CPU. Of CUDA's options, ``enable_cuda_graph`` replays a captured
                graph from a shape's third run on, and ``use_tf32`` set to False keeps float32's
                full precision.
            threads: Threads within one operator; None: ONNX Runtime's choice.

        Raises:
            SessionError: ONNX Runtime is missing, lacks the provider or cannot load the file.
            SpecError: The file is no artifact, or one of a newer version.
        """
        self._session = Session(path, providers, threads)
        self.path = self._session.path
        self.spec = self._session.spec
        self.provider = self._session.provider

    @overload
    def explain(
        self,
        image: Image,
        classes: Classes = None,
        top: int = 1,
        layer: str | None = None,
        method: str = "gradcam",
        region: Region | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Explanation: ...
    @overload
    def explain(
        self,
        image: Sequence[Image],
        classes: Classes = None,
        top: int = 1,
        layer: str | None = None,
        method: str = "gradcam",
        region: Region | Sequence[Region] | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> list[Explanation]: ...
    def explain(
        self,
        image: Image | Sequence[Image],
        classes: Classes = None,
        top: int = 1,
        layer: str | None = None,
        method: str = "gradcam",
        region: Region | Sequence[Region] | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Explain one picture, or each of a batch (run together, at most 16 at a time).

        Args:
            image: A path; a uint8 array, RGB [H, W, 3], RGBA or greyscale [H, W]; or a batch: a
                list of these, or a uint8 array [N, H, W, 3] (type checkers: ``list(array)``).
            classes: A class id, a label, or a list of them; an empty list only predicts. None: the
                ``top`` best-ranked classes of each picture.
            top: How many of the best-ranked classes, where ``classes`` is None.
            layer: A target layer of the artifact; None: its first.
            method: How the maps are made: an id of docs/methods.md; ``gradcam`` is in the artifact.
            region: Of a model whose output has positions (segmentation): those that the score is
                the sum over; None: all. A mask [H, W] of the picture's size, which then goes
                through the same resize and crop, or of the output's size; True or any number but 0
                counts once, floats are weights. Or a mask's file, in which all but black counts;
                or, for a batch, a list of these.
            progress: Called with how many of how many runs are done, by methods that run the
                artifact many times.
            options: What the method takes beside; see docs/methods.md.

        Returns:
            An Explanation for one picture, a list for a batch.

        Raises:
            ImageError: A picture cannot be read or used, or the artifact stores no preprocessing.
            ClassError: A class or ``top`` is out of range, or a label unknown.
            InputError: The layer, the method or an option of it is unknown, the artifact lacks
                what the method needs, the model takes more than a picture, or the region is
                empty, of another shape, or for a model whose output has no positions.
            SessionError: ONNX Runtime failed.
        """
        if region is not None:
            self._region_input()
        request = _Request(
            self._transform(),
            choose_classes(self.spec, classes, top),
            choose_layer(self.spec, layer),
            check_method(method, options),
            options,
            progress,
        )
        images = cast("Sequence[object]", image) if is_batch(image) else [image]
        names, regions = picture_names(images), per_picture(region, len(images))
        extent = self._session.inputs[request.transform.input].shape[0]
        step = extent or MAX_BATCH
        found: list[Explanation] = []
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            found += self._explain(images[part], names[part], regions[part], request, extent)
        return found if is_batch(image) else found[0]

    def run(
        self,
        arrays: NDArray[Any] | Mapping[str, NDArray[Any]],
        class_index: NDArray[Any] | Sequence[Sequence[int]] | None = None,
        region: NDArray[Any] | None = None,
    ) -> Tensors:
        """Run the artifact on tensors of the caller's own making: all its outputs, by name.

        Args:
            arrays: The inputs by name, or the model's only input.
            class_index: Classes to explain, integers [N or 1, K], -1 downwards by rank; K = 0
                only predicts. None: the predicted class.
            region: Weights of the scored output's positions, [N or 1, K or 1, *positions]; None:
                ones.

        Raises:
            InputError: An input is unknown, missing, or of another dtype or shape.
            ClassError: ``class_index`` has another type or shape, or a class is out of range.
            SessionError: ONNX Runtime failed.
        """
        named = arrays if isinstance(arrays, Mapping) else {self._only_input(): arrays}
        feeds = {name: np.asarray(value) for name, value in named.items()}
        index = feeds.pop(self.spec.class_index, class_index)
        index = np.asarray([[-1]] if index is None else index)
        rows = {value.shape[0] for value in feeds.values() if value.ndim}
        check_index(index, rows | {1}, self.spec.score.classes)
        feeds[self.spec.class_index] = index.astype(np.int64)
        if self.spec.region is not None:
            region = feeds.pop(self.spec.region, region)
        if region is not None:
            name, weights = self._region_input(), np.asarray(region)
            check_region(weights, rows | {1}, index.shape[1], self._positions)
            feeds[name] = weights.astype(np.float32)
        return self._session.run(feeds)

    def _explain(
        self,
        images: Sequence[object],
        names: list[str],
        regions: list[Region | None],
        request: _Request,
        extent: int | None,
    ) -> list[Explanation]:
        """Explain the pictures of one session run."""
        transform, layer = request.transform, request.layer
        pictures = [as_rgb(image) for image in images]
        places = [place(transform, *picture.shape[:2]) for picture in pictures]
        rows = [prepare(transform, *pair) for pair in zip(pictures, places, strict=True)]
        # A fixed batch axis wants filling up; the last picture serves.
        rows += rows[-1:] * ((extent or len(rows)) - len(rows))
        dtype = self._session.inputs[transform.input].dtype
        feeds = {
            transform.input: np.stack(rows).astype(dtype, copy=False),
            self.spec.class_index: np.array([request.indices], np.int64),
        }
        weights = self._weights(feeds, regions, places)
        if weights is not None:
            # A batch that was filled up wants as many regions.
            filled = [*weights, *weights[-1:] * (len(rows) - len(weights))]
            feeds[self._region_input()] = np.stack(filled)[:, None]
        question = Question(self._session, feeds, transform.input, layer, request.progress)
        answer = ask(question, request.method, request.options)
        maps = answer.maps
        if maps.ndim != 4:
            raise InputError(f"layer '{layer.name}' has no two-dimensional maps; use run()")
        labels = self.spec.labels or [str(i) for i in range(self.spec.score.classes)]
        return [
            Explanation(
                image=picture,
                name=names[i],
                output=answer.output[i],
                probabilities=probabilities(self.spec.score, answer.output[i]),
                classes=[int(c) for c in answer.classes[i]],
                labels=[labels[c] for c in answer.classes[i]],
                scores=answer.scores[i],
                maps=maps[i],
                status=[map_status(raw) for raw in maps[i]],
                layer=layer.name,
                method=request.method,
                placement=places[i],
                region=None if weights is None else weights[i],
            )
            for i, picture in enumerate(pictures)
        ]

    def _region_input(self) -> str:
        """Name of the input that takes the region."""
        if self.spec.region is None:
            raise InputError(
                f"{self.path.name} takes no region: its output '{self.spec.score.output}' has no "
                "positions; leave the region out"
            )
        return self.spec.region

    @property
    def _positions(self) -> tuple[int | None, ...]:
        """Extents of the scored output behind the class axis; None: dynamic."""
        return self._session.outputs[self.spec.score.output][2:]

    def _weights(
        self, feeds: Tensors, regions: Sequence[Region | None], places: Sequence[Placement]
    ) -> list[Weights] | None:
        """The regions of one session run, each [*positions]; None where there are none."""
        if all(region is None for region in regions):
            return None
        positions = tuple(extent for extent in self._positions if extent is not None)
        if len(positions) < len(self._positions):
            # Only a run tells; K = 0 makes it a plain prediction.
            none = feeds | {self.spec.class_index: np.zeros((1, 0), np.int64)}
            output = self.spec.score.output
            positions = self._session.run(none, [output])[output].shape[2:]
        return [
            np.ones(positions, np.float32) if region is None else as_weights(region, at, positions)
            for region, at in zip(regions, places, strict=True)
        ]

    def _transform(self) -> Preprocess:
        """The stored preprocessing, if pictures are all that the model takes."""
        transform = self.spec.preprocess
        if transform is None:
            raise ImageError(
                f"{self.path.name} stores no preprocessing; export it with preprocessing, or feed "
                "tensors to Explainer.run(arrays)"
            )
        required = {name for name, port in self._session.inputs.items() if port.required}
        others = sorted(required - {transform.input, *self.spec.own_inputs})
        if others:
            raise InputError(f"{self.path.name} also takes {others}; use Explainer.run(arrays)")
        return transform

    def _only_input(self) -> str:
        """Name of the model's one input."""
        names = [name for name, port in self._session.inputs.items() if port.required]
        names = [name for name in names if name not in self.spec.own_inputs]
        if len(names) != 1:
            raise InputError(f"{self.path.name} takes {names}; pass a dict of arrays by name")
        return names[0]
