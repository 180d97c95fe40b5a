"""Explainer: an artifact, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .explain.fuse_layers import Fuse
from .explain.pipeline import explain_pictures
from .explain.plan import make_plan
from .explain.stream import Failure, Read, explain_each, stream
from .inputs.batch import only_input, positions_of, region_input, stored_transform
from .inputs.images import Image, as_rgb, is_batch, picture_names
from .inputs.region import Region, check_region, per_picture
from .inputs.score_weights import ScoreWeights, check_weights, takes_weights
from .inputs.selection import Classes, check_index
from .methods.dispatch import check_method, share_options
from .methods.request import Progress
from .output.explanation import Explanation
from .session.heads import Heads
from .session.options import configure_with
from .session.providers import Provider
from .session.session import Session, Tensors


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
            head: The target layer's head (``export --extra head``), which some methods rerun;
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
        layer: str | Sequence[str] | None = None,
        method: str = "gradcam",
        region: Region | None = None,
        score_weights: ScoreWeights | None = None,
        progress: Progress | None = None,
        fuse: Fuse = "mean",
        augment: bool | str | Sequence[str] = False,
        **options: Any,
    ) -> Explanation: ...
    @overload
    def explain(
        self,
        image: Sequence[Image],
        classes: Classes = None,
        top: int = 1,
        layer: str | Sequence[str] | None = None,
        method: str = "gradcam",
        region: Region | Sequence[Region] | None = None,
        score_weights: ScoreWeights | None = None,
        progress: Progress | None = None,
        fuse: Fuse = "mean",
        augment: bool | str | Sequence[str] = False,
        **options: Any,
    ) -> list[Explanation]: ...
    def explain(
        self,
        image: Image | Sequence[Image],
        classes: Classes = None,
        top: int = 1,
        layer: str | Sequence[str] | None = None,
        method: str = "gradcam",
        region: Region | Sequence[Region] | None = None,
        score_weights: ScoreWeights | None = None,
        progress: Progress | None = None,
        fuse: Fuse = "mean",
        augment: bool | str | Sequence[str] = False,
        **options: Any,
    ) -> Explanation | list[Explanation]:
        """Explain one picture, or each of a batch (run together, at most 16 at a time).

        Args:
            image: A path; a uint8 array, RGB [H, W, 3], RGBA or greyscale [H, W]; or a batch: a
                list of these, or a uint8 array [N, H, W, 3] (type checkers: ``list(array)``).
            classes: A class id, a label, or a list of them; an empty list only predicts. None: the
                ``top`` best-ranked classes of each picture.
            top: How many of the best-ranked classes, where ``classes`` is None.
            layer: A target layer of the artifact, or a list of them whose maps are fused; None: its
                first.
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
            fuse: How the maps of several layers become one, each divided by its maximum before:
                ``mean``, ``max`` or ``product``.
            augment: Average the maps over changed copies of the picture: ``flip`` (left to right),
                ``scale`` (normalised values times 0.9, 1 and 1.1), a list of these, or True for
                both, which takes six runs. Scores and classes are those of the plain picture.
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
        wanted = {check_method(method, options): options}
        plan = make_plan(self._session, classes, top, score_weights, wanted, layer, fuse, augment)
        images = cast("Sequence[Image]", image if is_batch(image) else [image])
        regions = per_picture(region, len(images))
        named = zip(images, picture_names(images), strict=True)
        pictures = [Read(one, name, as_rgb(one)) for one, name in named]
        rows = explain_pictures(self._session, pictures, regions, plan, self._heads, progress)
        found = [by_method[0] for by_method in rows]
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
                ``top``, ``layer``, ``fuse``, ``augment``, ``method`` and its options, one
                ``region`` (or ``score_weights``) for all.

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

    def compare(
        self,
        image: Image,
        methods: Sequence[str],
        classes: Classes = None,
        top: int = 1,
        layer: str | Sequence[str] | None = None,
        region: Region | None = None,
        score_weights: ScoreWeights | None = None,
        progress: Progress | None = None,
        fuse: Fuse = "mean",
        augment: bool | str | Sequence[str] = False,
        **options: Any,
    ) -> list[Explanation]:
        """Explain one picture by several methods; `graftcam.runtime.figure` draws them together.

        One run of the artifact serves all methods that are made of activations and gradients.

        Args:
            image: A path or a uint8 array, as for `explain`.
            methods: Their ids.
            classes: As for `explain`.
            top: As for `explain`.
            layer: As for `explain`.
            region: As for `explain`.
            score_weights: As for `explain`.
            progress: As for `explain`; counts anew for each method.
            fuse: As for `explain`.
            augment: As for `explain`.
            options: Each goes to all methods that take it.

        Returns:
            An Explanation for each method, in their order.

        Raises:
            GraftcamError: As `explain`; InputError, too, where no method takes an option, or there
                are no methods.
        """
        if is_batch(image) or not methods:
            raise InputError("compare() takes one picture and one or more methods")
        wanted = share_options(methods, options)
        plan = make_plan(self._session, classes, top, score_weights, wanted, layer, fuse, augment)
        picture = Read(image, picture_names([image])[0], as_rgb(image))
        return explain_pictures(self._session, [picture], [region], plan, self._heads, progress)[0]

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
        named = arrays if isinstance(arrays, Mapping) else {only_input(self._session): arrays}
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
            name, weights = region_input(self._session), np.asarray(region)
            check_region(weights, rows, selection.shape[1], positions_of(self._session))
            feeds[name] = weights.astype(np.float32)
        return self._session.run(feeds)

    def _for_all(
        self,
        *,
        classes: Classes = None,
        top: int = 1,
        layer: str | Sequence[str] | None = None,
        method: str = "gradcam",
        region: Region | None = None,
        score_weights: ScoreWeights | None = None,
        fuse: Fuse = "mean",
        augment: bool | str | Sequence[str] = False,
        **options: Any,
    ) -> Callable[[Sequence[Read]], list[Explanation]]:
        """The same question for any pictures."""
        stored_transform(self._session)
        if region is not None:
            region_input(self._session)
        wanted = {check_method(method, options): options}
        plan = make_plan(self._session, classes, top, score_weights, wanted, layer, fuse, augment)

        def explain(pictures: Sequence[Read]) -> list[Explanation]:
            regions = [region] * len(pictures)
            rows = explain_pictures(self._session, pictures, regions, plan, self._heads)
            return [by_method[0] for by_method in rows]

        return explain
