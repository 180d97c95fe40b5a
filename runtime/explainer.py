"""`Explainer` opens an artifact and explains images with it.

What it does is in `explain.steps`, which is imported when an artifact is opened: the import of
`Explainer` alone takes hardly more than that of numpy, OpenCV and ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast, overload

from .boxes.defaults import CONF, IOU, MOST_DETECTED
from .limits import MAX_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .boxes.detections import Detections
    from .explain.box_request import Boxes
    from .explain.request import Request
    from .explain.stream import Failure
    from .inputs.examples import Example, Given, Inputs
    from .inputs.selection import Classes
    from .output.box_explanation import BoxExplanation
    from .output.concepts import Concepts
    from .output.explanation import Explanation
    from .session.providers import Provider
    from .session.session import Port, Tensors
    from .spec import Preprocess


class Explainer:
    """An artifact, ready to explain images; safe to share between threads.

    Attributes:
        path: The artifact's file.
        spec: Its metadata.
        provider: The ONNX Runtime execution provider, or the engine, that it runs on.
    """

    def __init__(
        self,
        path: str | Path,
        providers: str | Sequence[Provider] | None = None,
        threads: int | None = None,
        options: Mapping[str, Any] | None = None,
        head: str | Path | None = None,
        check: bool = False,
        max_pixels: int = MAX_PIXELS,
        preprocess: Preprocess | str | None = None,
        engine: str | None = None,
    ) -> None:
        """Open an artifact.

        Args:
            path: A file that ``graftcam export`` wrote.
            providers: ONNX Runtime's execution providers, best first, as ``"cuda"``,
                ``"CUDAExecutionProvider"`` or ``("cuda", {"device_id": 1})``; None: CUDA if it is
                available, else the CPU. The name of an engine alone stands for ``engine``. Two of
                CUDA's options: ``enable_cuda_graph`` replays a captured graph from the third run
                of a shape on, and ``use_tf32=False`` computes in full float32 precision.
            threads: Threads within one operator; None: ONNX Runtime's choice.
            options: Further options of ONNX Runtime's session, by the names in
                `runtime.session.options`: ``{"arena": False, "spinning": False}``.
            head: The file with the target layer's head (``export --extra head``), which some
                methods rerun; None: the file beside the artifact, opened at first use.
            check: Read each file whole before it is opened, and compare graph and weights with the
                digests that the export stored.
            max_pixels: Number of pixels that the header of an image file may name.
            preprocess: The training transform, for an artifact that was exported without one or
                with a wrong one: a `runtime.spec.Preprocess`, or words such as ``"imagenet"`` or
                ``"unit,squash"`` (`runtime.inputs.preprocess_words`). None: the stored one.
            engine: What runs the file instead of ONNX Runtime's own providers: ``"openvino"``,
                ``"webgpu"``, ``"web"`` and others of `runtime.session.engines.table`; or one of
                its providers, which must start then.

        Raises:
            SessionError: ONNX Runtime or the engine is missing, lacks the provider or a device, or
                cannot load the file; the file is an optimised form for another machine, or an
                option is unknown.
            SpecError: The file is no artifact, or one of a newer version.
            CustodyError: With ``check``: the file changed after its export, or has no digests.
            InputError: ``preprocess`` has an unknown word or does not fit the model's input, or the
                artifact's graph contains its own.
        """
        from .explain.steps import Steps

        self._steps = Steps(
            path, providers, threads, options, head, check=check, max_pixels=max_pixels,
            preprocess=preprocess, engine=engine,
        )  # fmt: skip
        self._session = self._steps.session
        self.path = self._session.path
        self.spec = self._session.spec
        self.provider = self._session.provider

    @overload
    def explain(
        self, image: Given, selection: Classes = None, /, **request: Unpack[Request]
    ) -> Explanation: ...
    @overload
    def explain(
        self, image: Sequence[Given], selection: Classes = None, /, **request: Unpack[Request]
    ) -> list[Explanation]: ...
    def explain(
        self,
        image: Given | Sequence[Given],
        selection: Classes = None,
        /,
        **request: Unpack[Request],
    ) -> Explanation | list[Explanation]:
        """Explain one image, or each of a batch (run together, at most 16 at a time).

        Args:
            image: A path; the bytes of an image file, or an open one; an image of Pillow; a uint8
                array, RGB [H, W, 3], RGBA or greyscale [H, W]; or a uint8 tensor of PyTorch
                [3, H, W]. Or what the model itself takes: an array or tensor without the batch
                axis, or its file (``.npy``, ``.npz``, ``.wav``, ``.nii``, ``.nii.gz``). Or values
                of several inputs by name. Or a batch: a list of these, or an array with a batch
                axis, such as uint8 [N, H, W, 3] (type checkers: ``list(array)``).
            selection: The request's ``classes``, as a positional argument.
            request: What to explain, and how; see `Request`.

        Returns:
            An Explanation for one image, a list for a batch; of detectors a BoxExplanation, with a
            map for each detected box.

        Raises:
            TypeError: A keyword is unknown.
            ImageError: An image cannot be read or used, or the artifact stores no preprocessing.
            ClassError: A class or ``top`` is out of range, or a label unknown.
            InputError: The layer, the method or one of its options is unknown; the artifact lacks
                an output that the method needs; an input is missing, unknown, or of a shape or type
                that the model does not take; the region is empty, has another shape, or the model's
                output has no positions; the weights are missing, have another shape, or the
                artifact takes classes instead.
            SessionError: ONNX Runtime failed.
        """
        return self._steps.explain(image, request, selection)

    @overload
    def detect(
        self,
        image: Given,
        conf: float = ...,
        iou: float = ...,
        limit: int = ...,
        classes: Classes = ...,
        inputs: Inputs | None = ...,
    ) -> Detections: ...
    @overload
    def detect(
        self,
        image: Sequence[Given],
        conf: float = ...,
        iou: float = ...,
        limit: int = ...,
        classes: Classes = ...,
        inputs: Inputs | None = ...,
    ) -> list[Detections]: ...
    def detect(
        self,
        image: Given | Sequence[Given],
        conf: float = CONF,
        iou: float = IOU,
        limit: int = MOST_DETECTED,
        classes: Classes = None,
        inputs: Inputs | None = None,
    ) -> Detections | list[Detections]:
        """Detect objects in one image, or in each of a batch; nothing is explained.

        Args:
            image: As for `explain`.
            conf: The smallest probability of a detection.
            iou: Two boxes of one class that overlap more than this (intersection over union) count
                as one; end-to-end detectors and those of queries have no such boxes.
            limit: The largest number of boxes of an image.
            classes: Ids or labels of the classes whose boxes count; None: all.
            inputs: Values of further inputs; see `Request`.

        Returns:
            `Detections` for one image, a list for a batch; boxes are in pixels of the image.

        Raises:
            GraftcamError: As `explain`; also an InputError if the artifact is no detector's.
        """
        request: Request = {"conf": conf, "iou": iou, "classes": classes, "inputs": inputs}
        return self._steps.detect(image, request, limit)

    @overload
    def explain_boxes(
        self,
        image: Given,
        numbers: Boxes | None = None,
        reason: str | Sequence[str] | None = None,
        /,
        **request: Unpack[Request],
    ) -> BoxExplanation: ...
    @overload
    def explain_boxes(
        self,
        image: Sequence[Given],
        numbers: Boxes | None = None,
        reason: str | Sequence[str] | None = None,
        /,
        **request: Unpack[Request],
    ) -> list[BoxExplanation]: ...
    def explain_boxes(
        self,
        image: Given | Sequence[Given],
        numbers: Boxes | None = None,
        reason: str | Sequence[str] | None = None,
        /,
        **request: Unpack[Request],
    ) -> BoxExplanation | list[BoxExplanation]:
        """Explain the boxes that a detector finds in one image, or in each of a batch.

        It is `explain` for an artifact that must be a detector's.

        Args:
            image: As for `explain`.
            numbers: The request's ``boxes``, as a positional argument.
            reason: The request's ``why``, likewise.
            request: ``boxes``, ``why``, ``conf``, ``iou``, ``limit``, ``classes``, ``near_miss``,
                ``box_index`` and ``method``, among others; see `Request`.

        Returns:
            A `BoxExplanation` for one image, a list for a batch. It has no maps if there are no
            boxes; its ``detections.best`` then names the best candidate.

        Raises:
            GraftcamError, TypeError: As `explain`; also an InputError if the artifact is no
                detector's, or a box does not exist.
        """
        return cast(Any, self._steps.explain_boxes(image, request, numbers, reason))

    def explain_many(
        self,
        images: Iterable[Given],
        *,
        batch: int = 8,
        readers: int = 2,
        **request: Unpack[Request],
    ) -> Generator[Explanation | Failure]:
        """Explain any number of images, in order and in bounded memory.

        Some threads read images, another one explains them, and the caller's thread draws, all at
        the same time. An image that cannot be explained yields a ``Failure`` in its place. The
        caller's thread takes the items of ``images``, a few batches ahead.

        Args:
            images: Images as for `explain`, for example from a generator.
            batch: Number of images that are explained together.
            readers: Number of threads that read images.
            request: What to explain, and how; see `Request`. All images share one ``region``, and
                ``inputs``; an image with inputs of its own is a mapping of values by name.

        Returns:
            An iterator over an Explanation or a Failure for each image, in order. Repeated names
            get a number: ``photo``, ``photo-2``.

        Raises:
            TypeError, ClassError, InputError: As `explain`, before the first image.
            SessionError: The device failed; raised in place of the next explanation.
        """
        return self._steps.explain_many(images, batch, readers, request)

    @property
    def inputs(self) -> list[Port]:
        """The inputs that the model itself takes: name, type and shape of each."""
        return self._session.model_inputs

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that the artifact explains; the first is explained by default."""
        return self.spec.output_names

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the names of the files that the artifact explains."""
        return self._steps.reader.suffixes

    def read_file(self, path: str | Path, inputs: Inputs | None = None) -> list[Example]:
        """Read the examples of a file for `explain` or `compare`.

        Args:
            path: An image, or an array file; one whose array has a batch axis holds several.
            inputs: Values of further inputs; see `Request`.

        Raises:
            ImageError, InputError: As `explain`.
        """
        return self._steps.reader.load_file(path, inputs)

    def explain_named(
        self, images: Sequence[tuple[str, Given]], **request: Unpack[Request]
    ) -> list[Explanation | Failure]:
        """Explain images that have names already, as one batch of `explain_many`."""
        return self._steps.explain_named(images, request)

    def compare(
        self, image: Given, methods: Sequence[str], **request: Unpack[Request]
    ) -> list[Explanation]:
        """Explain one image by several methods; `graftcam.runtime.figure` draws them together.

        One run of the artifact serves all formulas of activations and gradients.

        Args:
            image: One image, as for `explain`.
            methods: The ids of the methods.
            request: What to explain, and how; see `Request`. Its ``method`` is replaced.

        Returns:
            An Explanation for each entry of ``methods``, in their order.

        Raises:
            GraftcamError: As `explain`; also an InputError if no method takes one of the options,
                or if there are no methods.
            TypeError: As `explain`.
        """
        return self._steps.compare(image, methods, request)

    def concepts(
        self,
        images: Given | Sequence[Given],
        components: int = 4,
        *,
        classes: Classes = None,
        top: int | None = None,
        output: str | None = None,
        layer: str | None = None,
        clip: bool = False,
        inputs: Inputs | None = None,
    ) -> Concepts:
        """Find the concepts that a layer sees in images: deep feature factorisation.

        All images share their concepts (Collins et al. 2018).

        Args:
            images: An image, or several, as for `explain`.
            components: The number of concepts.
            classes: The classes whose scores concepts are measured by; None: the ``top``
                best-ranked of each image.
            top: See there; None: 3, or as many as there are.
            output: The output that the classes are of, if the artifact explains several.
            layer: The layer; None: the artifact's first.
            clip: Take negative activations for 0.
            inputs: Values of further inputs; see `Request`.

        Returns:
            A sequence with an entry for each image.

        Raises:
            GraftcamError: As `explain`; also an InputError if the artifact has no classes, the
                layer negative activations without ``clip``, or fewer channels than concepts.
        """
        request: Request = {"output": output, "layer": layer, "inputs": inputs}
        request |= {"classes": classes} if top is None else {"classes": classes, "top": top}
        return self._steps.concepts(images, request, components, clip=clip)

    def run(
        self,
        arrays: NDArray[Any] | Mapping[str, NDArray[Any]],
        class_index: NDArray[Any] | Sequence[Sequence[int]] | None = None,
        region: NDArray[Any] | None = None,
        score_weights: NDArray[Any] | None = None,
        output_index: NDArray[Any] | Sequence[Sequence[int]] | None = None,
        box_index: NDArray[Any] | Sequence[Sequence[int]] | None = None,
        box_target: NDArray[Any] | Sequence[Sequence[int]] | None = None,
    ) -> Tensors:
        """Run the artifact on the caller's tensors and return all its outputs by name.

        Args:
            arrays: The inputs by name, or the model's only input.
            class_index: Classes to explain, integers [N or 1, K]: ids, or ranks from -1 downwards;
                K = 0 only predicts. None: the predicted class.
            region: Weights of the scored output's positions, [N or 1, K or 1, *positions]; None:
                ones.
            score_weights: For a linear score, instead of `class_index`: weights of the scored
                output, [N or 1, K, *output].
            output_index: For an artifact that explains several outputs: the place in
                `spec.output_names` of the output that each class is of, integers [N or 1, K or 1];
                None: the first. ``class_index`` may then have K = 1, too.
            box_index: Of detectors: boxes to explain, integers [N or 1, K or 1]: numbers in the
                model's tables, or ranks from -1 downwards. None: the best box.
            box_target: Of detectors, likewise: 0 the class, 1 to 4 the left, top, right and bottom
                edge. None: the class. K is the largest of the three; 0 in one of them only detects.

        Raises:
            InputError: An input is unknown, missing, or of another dtype or shape.
            ClassError: ``class_index`` has another type or shape, or a class is out of range.
            SessionError: ONNX Runtime failed.
        """
        return self._steps.run(
            arrays, class_index, region, score_weights, output_index, box_index, box_target
        )
