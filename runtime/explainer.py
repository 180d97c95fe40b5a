"""Explainer: the steps from pictures to explanations, in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from .asking import ask, check_method
from .choose import Classes, check_index, choose_classes, choose_layer
from .errors import ImageError, InputError
from .explanation import Explanation
from .heads import Heads
from .images import Image, as_rgb, is_batch, picture_names
from .inorder import batched
from .linear import ScoreWeights, check_weights, name_rows, takes_weights
from .many import Failure, Read, explain_each, stream
from .options import configure_with
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
    """What to ask the artifact about every picture of a batch.

    ``selection`` is what the artifact's selector takes; ``names`` are those of its K rows, where
    they are no classes.
    """

    transform: Preprocess
    selection: NDArray[Any]
    names: list[str] | None
    layer: Layer
    method: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    progress: Progress | None = None
    extent: int | None = None


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
        options: Mapping[str, Any] | None = None,
        head: str | Path | None = None,
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
            options: What else to set in ONNX Runtime's session, by the names of
                ``runtime.options``: ``{"arena": False, "spinning": False}``.
            head: The target layer's head (``graftcam export --head``), which some methods rerun;
                None: the file beside the artifact, opened when a method first needs it.

        Raises:
            SessionError: ONNX Runtime is missing, lacks the provider or cannot load the file, the
                file is an optimised form for another machine, or an option is unknown.
            SpecError: The file is no artifact, or one of a newer version.
        """
        self._session = Session(path, providers, threads, configure_with(options or {}))
        self.path = self._session.path
        self.spec = self._session.spec
        self.provider = self._session.provider
        self._heads = Heads(
            self.path,
            self.spec,
            lambda file: Session(file, providers, threads, configure_with(options or {})),
            None if head is None else Path(head),
        )

    @overload
    def explain(
        self,
        image: Image,
        classes: Classes = None,
        top: int = 1,
        layer: str | None = None,
        method: str = "gradcam",
        region: Region | None = None,
        score_weights: ScoreWeights | None = None,
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
        score_weights: ScoreWeights | None = None,
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
        score_weights: ScoreWeights | None = None,
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
            score_weights: Of an artifact with a linear score, and instead of classes: the weights
                of its output, numbers [K, *output] or [*output], or such arrays [*output] by name.
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
                empty, of another shape, or for a model whose output has no positions; weights are
                missing, of another shape, or not what the artifact takes.
            SessionError: ONNX Runtime failed.
        """
        if region is not None:
            self._region_input()
        request = self._request(classes, top, layer, method, options, score_weights, progress)
        images = cast("Sequence[Image]", image if is_batch(image) else [image])
        names, regions = picture_names(images), per_picture(region, len(images))
        step = request.extent or MAX_BATCH
        found: list[Explanation] = []
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            pairs = zip(images[part], names[part], strict=True)
            pictures = [Read(one, name, as_rgb(one)) for one, name in pairs]
            found += self._explain(pictures, regions[part], request)
        return found if is_batch(image) else found[0]

    def explain_many(
        self,
        images: Iterable[Image],
        *,
        batch: int = 8,
        readers: int = 2,
        **question: Any,
    ) -> Generator[Explanation | Failure]:
        """Explain any number of pictures, one after the other, in bounded memory.

        Pictures are read in threads, explained in another, and drawn where the caller draws them,
        all at the same time. A picture that cannot be explained yields a ``Failure`` in its place.
        What ``images`` yields is taken in the caller's thread, a few batches ahead.

        Args:
            images: Paths and arrays, as ``explain`` takes them; they may come from a generator.
            batch: How many pictures are explained together.
            readers: Threads that read pictures.
            question: What is asked about every picture, as ``explain`` takes it: ``classes``,
                ``top``, ``layer``, ``method`` and its options, one ``region`` (or
                ``score_weights``) for all.

        Returns:
            An iterator: an Explanation or a Failure a picture, in order. Names of explanations
            repeat with a number: ``photo``, ``photo-2``.

        Raises:
            ClassError: As ``explain``, before the first picture.
            InputError: Likewise.
            SessionError: ONNX Runtime failed; raised where the next explanation would have come.
        """
        return stream(self._for_all(**question), images, batch, readers)

    def explain_read(
        self, entries: Sequence[Read | Failure], **question: Any
    ) -> list[Explanation | Failure]:
        """Explain pictures that ``many.read`` has read, as `explain_many` does with a batch."""
        return explain_each(self._for_all(**question), entries)

    def run(
        self,
        arrays: NDArray[Any] | Mapping[str, NDArray[Any]],
        class_index: NDArray[Any] | Sequence[Sequence[int]] | None = None,
        region: NDArray[Any] | None = None,
        score_weights: NDArray[Any] | None = None,
    ) -> Tensors:
        """Run the artifact on tensors of the caller's own making: all its outputs, by name.

        Args:
            arrays: The inputs by name, or the model's only input.
            class_index: Classes to explain, integers [N or 1, K], -1 downwards by rank; K = 0
                only predicts. None: the predicted class.
            region: Weights of the scored output's positions, [N or 1, K or 1, *positions]; None:
                ones.
            score_weights: Of a linear score, and instead of `class_index`: weights of the scored
                output, [N or 1, K, *output].

        Raises:
            InputError: An input is unknown, missing, or of another dtype or shape.
            ClassError: ``class_index`` has another type or shape, or a class is out of range.
            SessionError: ONNX Runtime failed.
        """
        named = arrays if isinstance(arrays, Mapping) else {self._only_input(): arrays}
        feeds = {name: np.asarray(value) for name, value in named.items()}
        if self.spec.class_index is None:
            score_weights = feeds.pop(self.spec.selector, score_weights)
        else:
            class_index = feeds.pop(self.spec.class_index, class_index)
        rows = {value.shape[0] for value in feeds.values() if value.ndim} | {1}
        if takes_weights(self._session, score_weights, class_index):
            selection = np.asarray(score_weights)
            check_weights(self._session, selection, rows)
            feeds[self.spec.selector] = selection.astype(np.float32)
        else:
            selection = np.asarray([[-1]] if class_index is None else class_index)
            check_index(selection, rows, self.spec.score.classes)
            feeds[self.spec.selector] = selection.astype(np.int64)
        if self.spec.region is not None:
            region = feeds.pop(self.spec.region, region)
        if region is not None:
            name, weights = self._region_input(), np.asarray(region)
            check_region(weights, rows, selection.shape[1], self._positions)
            feeds[name] = weights.astype(np.float32)
        return self._session.run(feeds)

    def _request(
        self,
        classes: Classes,
        top: int,
        layer: str | None,
        method: str,
        options: dict[str, Any],
        score_weights: ScoreWeights | None = None,
        progress: Progress | None = None,
    ) -> _Request:
        """Check what is asked for."""
        transform, names = self._transform(), None
        if takes_weights(self._session, score_weights, classes):
            names, selection = name_rows(self._session, score_weights)
        else:
            selection = np.array([choose_classes(self.spec, classes, top)], np.int64)
        return _Request(
            transform,
            selection,
            names,
            choose_layer(self.spec, layer),
            check_method(method, options),
            options,
            progress,
            self._session.inputs[transform.input].shape[0],
        )

    def _for_all(
        self,
        classes: Classes = None,
        top: int = 1,
        layer: str | None = None,
        method: str = "gradcam",
        region: Region | None = None,
        score_weights: ScoreWeights | None = None,
        **options: Any,
    ) -> Callable[[Sequence[Read]], list[Explanation]]:
        """The same question for any pictures."""
        if region is not None:
            self._region_input()
        request = self._request(classes, top, layer, method, options, score_weights)

        def explain(pictures: Sequence[Read]) -> list[Explanation]:
            step = request.extent or MAX_BATCH
            return [
                found
                for part in batched(pictures, step)
                for found in self._explain(part, [region] * len(part), request)
            ]

        return explain

    def _explain(
        self, read: Sequence[Read], regions: Sequence[Region | None], request: _Request
    ) -> list[Explanation]:
        """Explain the pictures of one session run."""
        first = _of_one_size(read) if request.transform.embedded else len(read)
        if first < len(read):
            # Pictures go in as they are, and one tensor holds one size.
            return [
                *self._explain(read[:first], regions[:first], request),
                *self._explain(read[first:], regions[first:], request),
            ]
        transform, layer = request.transform, request.layer
        pictures = [one.picture for one in read]
        places = [place(transform, *picture.shape[:2]) for picture in pictures]
        rows = [prepare(transform, *pair) for pair in zip(pictures, places, strict=True)]
        # A fixed batch axis wants filling up; the last picture serves.
        rows += rows[-1:] * ((request.extent or len(rows)) - len(rows))
        dtype = self._session.inputs[transform.input].dtype
        feeds = {
            transform.input: np.stack(rows).astype(dtype, copy=False),
            self.spec.selector: request.selection,
        }
        weights = self._weights(feeds, regions, places)
        if weights is not None:
            # A batch that was filled up wants as many regions.
            filled = [*weights, *weights[-1:] * (len(rows) - len(weights))]
            feeds[self._region_input()] = np.stack(filled)[:, None]
        question = Question(
            self._session, feeds, transform.input, layer, request.progress, self._heads
        )
        answer = ask(question, request.method, request.options)
        maps = answer.maps
        if maps.ndim != 4:
            raise InputError(f"layer '{layer.name}' has no two-dimensional maps; use run()")
        labels = request.names or self.spec.labels
        labels = labels or [str(i) for i in range(self.spec.score.classes)]
        return [
            Explanation(
                image=picture,
                name=read[i].name,
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
                measures={name: values[i] for name, values in answer.measures.items()},
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
        """Extents of the scored output's positions; None: dynamic."""
        score = self.spec.score
        return score.positions(self._session.outputs[score.output])

    def _weights(
        self, feeds: Tensors, regions: Sequence[Region | None], places: Sequence[Placement]
    ) -> list[Weights] | None:
        """The regions of one session run, each [*positions]; None where there are none."""
        if all(region is None for region in regions):
            return None
        positions = tuple(extent for extent in self._positions if extent is not None)
        if len(positions) < len(self._positions):
            # Only a run tells; K = 0 makes it a plain prediction.
            none = feeds | {self.spec.selector: np.zeros((1, 0), np.int64)}
            score = self.spec.score
            positions = score.positions(self._session.run(none, [score.output])[score.output].shape)
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


def _of_one_size(read: Sequence[Read]) -> int:
    """How many pictures there are before the first one of another size."""
    shapes = [one.picture.shape for one in read]
    return next((i for i, shape in enumerate(shapes) if shape != shapes[0]), len(shapes))
