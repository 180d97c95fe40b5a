"""`Steps` does what an `Explainer` is asked: it plans a request, reads the images and runs them.

`Explainer` imports this module, and with it most of the runtime, when it opens its first artifact.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..boxes.detections import Detections
from ..checks import check_value, short
from ..errors import InputError, SessionError
from ..inputs.examples import ExampleReader, Given
from ..inputs.fit_preprocess import preprocess_for
from ..inputs.images import as_array
from ..inputs.raw_feeds import Selection, raw_feeds
from ..inputs.selection import Classes, choose_output
from ..output.concepts import Concepts
from ..output.explanation import Explanation
from ..session.checked import open_checked
from ..session.engines.table import ENGINES
from ..session.heads import Heads
from ..session.options import configure
from ..session.providers import Provider
from ..session.session import Session, Tensors
from ..spec import Preprocess
from .box_pipeline import detect_examples
from .box_request import Boxes
from .concepts import TOP, find_concepts
from .pipeline import explain_examples
from .plan import Plan, make_plan
from .request import Request
from .stream import Failure, explain_each, load, stream
from .trial import try_methods


class Steps:
    """The steps behind the methods of an `Explainer`, which says what they take and raise.

    Attributes:
        session: The artifact.
        heads: The heads of its layers.
        open_file: Opens another file as the artifact was opened; its digests are not compared.
    """

    def __init__(
        self, path: str | Path, providers: str | Sequence[Provider] | None, threads: int | None,
        options: Mapping[str, Any] | None, head: str | Path | None, *, check: bool,
        max_pixels: int, preprocess: Preprocess | str | None = None, engine: str | None = None,
    ) -> None:  # fmt: skip
        check_value("max_pixels", max_pixels, int, least=1)
        if options and engine in ENGINES:
            raise SessionError(f"options are those of ONNX Runtime; {engine} has none")
        setup = partial(configure, options or {})
        open_file = partial(
            Session, providers=providers, threads=threads, configure=setup, engine=engine
        )
        open_head = open_checked(Path(path), open_file) if check else open_file
        self.open_file = open_file
        self.session = open_file(path)
        self.session.max_pixels = max_pixels
        if preprocess is not None:
            fitted = preprocess_for(self.session, preprocess)
            self.session.spec = replace(self.session.spec, preprocess=fitted)
        spec = self.session.spec
        own_head = None if head is None else Path(head)
        self.heads = Heads(self.session.path, spec, open_head, own_head)

    @property
    def reader(self) -> ExampleReader:
        """What reads examples of this artifact."""
        return ExampleReader(self.session)

    def explain(
        self, image: Any, request: Request, classes: Classes = None
    ) -> Explanation | list[Explanation]:
        """Explain one image, or each of a batch."""
        _put(request, "explain() got the", {"classes": classes})
        plan = self._plan(request)
        several = plan.reader.split(image)
        examples = plan.reader.load([image] if several is None else several, plan.inputs)
        if not examples and plan.boxes is None and not isinstance(plan.inputs, list):
            trials = [(layer, *one) for one in plan.methods.items() for layer in plan.layers]
            try_methods(plan.session, self.heads, plan.reader, trials, plan.inputs)
        found = [one for (one,) in explain_examples(plan, examples)]
        return found[0] if several is None else found

    def explain_boxes(
        self, image: Any, request: Request, boxes: Boxes | None, why: str | Sequence[str] | None
    ) -> Explanation | list[Explanation]:
        """Explain the boxes of a detector in one image, or in each of a batch."""
        _put(request, "explain_boxes() got", {"boxes": boxes, "why": why})
        self._need_detector("explain_boxes")
        return self.explain(image, request)

    def detect(self, image: Any, request: Request, limit: int) -> Detections | list[Detections]:
        """Detect objects in one image, or in each of a batch."""
        check_value("limit", limit, int, least=1)
        self._need_detector("detect")
        plan = self._plan(request)
        several = plan.reader.split(image)
        examples = plan.reader.load([image] if several is None else several, plan.inputs)
        found = detect_examples(plan, examples, limit)
        return found[0] if several is None else found

    def explain_many(
        self, images: Iterable[Given], batch: int, readers: int, request: Request
    ) -> Generator[Explanation | Failure]:
        """Explain any number of images, a batch at a time."""
        check_value("batch", batch, int, least=1)
        check_value("readers", readers, int, least=1)
        plan = self._shared_plan(request)
        single = isinstance(images, (str, bytes, Path, Mapping)) or (
            as_array(images) is not None and plan.reader.split(images) is None
        )
        if single or not hasattr(images, "__iter__"):
            raise InputError(f"explain_many({short(images)}): pass a list of images")
        return stream(plan, images, batch, readers)

    def explain_named(
        self, images: Sequence[tuple[str, Given]], request: Request
    ) -> list[Explanation | Failure]:
        """Explain images that have names already."""
        plan = self._shared_plan(request)
        return explain_each(plan, [load(plan, image, name) for name, image in images])

    def compare(self, image: Given, methods: Sequence[str], request: Request) -> list[Explanation]:
        """Explain one image by several methods."""
        several = self.reader.split(image) is not None
        if several or isinstance(methods, str) or not methods:
            raise InputError(
                "compare() takes one image and a list of one or more methods, not "
                f"{short(image)} and {short(methods)}"
            )
        plan = self._plan(request, methods)
        (found,) = explain_examples(plan, plan.reader.load([image], plan.inputs))
        by_method = dict(zip(plan.methods, found, strict=True))
        return [by_method[method] for method in methods]

    def concepts(self, images: Any, request: Request, components: int, *, clip: bool) -> Concepts:
        """Factorise the layer's activations of one image, or of a batch together."""
        spec, name = self.session.spec, self.session.path.name
        if spec.score.kind == "similarity" and not spec.score.has_bank:
            raise InputError(
                f"concepts(): {name} compares images with texts that are fed, and concepts are "
                "about classes; export it with a bank (--bank), whose texts are its classes"
            )
        if spec.detector is not None or spec.class_index is None:
            what = "a detector's boxes" if spec.detector is not None else "a linear score"
            raise InputError(
                f"concepts(): {name} explains {what}, and concepts are about classes; export the "
                "model's backbone with a class score"
            )
        if request.get("classes") is None and request.get("top") is None:
            about = self.session.about(choose_output(spec, request.get("output")))
            request["top"] = min(TOP, about.spec.score.classes)
        plan = self._plan(request)
        if len(plan.layers) > 1:
            raise InputError("concepts() factorises one layer; name one with layer= (--layer)")
        several = plan.reader.split(images)
        examples = plan.reader.load([images] if several is None else several, plan.inputs)
        if not examples:
            raise InputError("concepts() got no images; give one or more")
        return find_concepts(plan, examples, components, clip=clip)

    def run(self, arrays: Any, *selection: Any) -> Tensors:
        """Run the artifact on the caller's tensors; ``selection`` has the fields of `Selection`."""
        return self.session.run(raw_feeds(self.session, arrays, Selection(*selection)))

    def _need_detector(self, caller: str) -> None:
        """Raise InputError if the artifact is no detector's."""
        if self.session.spec.detector is None:
            raise InputError(
                f"{caller}(): {self.session.path.name} is no detector's artifact; use explain()"
            )

    def _plan(self, request: Request, methods: Sequence[str] | None = None) -> Plan:
        return make_plan(self.session, self.heads, request, methods)

    def _shared_plan(self, request: Request) -> Plan:
        """Return the plan for any number of images."""
        plan = self._plan(request)
        if isinstance(plan.region, (list, tuple)):
            raise InputError("many images share one region; pass a single mask")
        (shared,) = plan.reader.rows_of(plan.inputs, 1)
        return replace(plan, inputs=shared)


def _put(request: Request, caller: str, by_position: Mapping[str, Any]) -> None:
    """Put what was given by position into a request.

    Raises:
        TypeError: It is in the request as well.
    """
    for name, value in by_position.items():
        if value is not None and name in request:
            raise TypeError(f"{caller} {name} twice, by position and by keyword")
        if value is not None:
            request[name] = value
