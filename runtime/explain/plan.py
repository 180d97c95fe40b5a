"""A `Plan` runs several methods, layers and augmentations with as few session runs as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.batch import region_input
from ..inputs.examples import ExampleReader, Inputs
from ..inputs.prompts import Prompts, choose_prompts
from ..inputs.region import Region
from ..inputs.score_weights import name_rows, takes_weights
from ..inputs.selection import check_name, choose_classes, choose_layers, choose_output
from ..inputs.token_table import read_tokens
from ..methods.augment import Augment, Change, changes_of, choose_augment
from ..methods.dispatch import check_method, formula_outputs, run_method, share_options
from ..methods.fusion import FUSES, Fuse
from ..methods.method_io import MethodInput, MethodOutput, Progress
from ..methods.rerun import Rerun
from ..methods.table import ATTENTION_METHODS, METHODS
from ..session.heads import Heads
from ..session.session import Session, Tensors
from ..spec import Layer, Spec
from .box_request import BOX_KEYS, BoxRequest, box_request, check_method_of_boxes
from .fuse_layers import check_fusing, fuse
from .placed import Placing
from .request import Request, check_request


@dataclass(frozen=True)
class Plan:
    """A request, checked against an artifact, in the form that every batch of images needs.

    Attributes:
        session: The artifact.
        heads: Heads of its layers.
        reader: Reads the examples.
        placing: Finds the input that maps lie over.
        selection: The value of the artifact's selector: class ids or ranks, [1, K], or weights;
            of joined plans [N, K].
        methods: The options of each method, by its id.
        layers: The target layers whose maps are fused; usually one.
        fuse: How the maps of several layers become one.
        augment: Changes of the images whose maps are averaged; empty: none.
        rows: Names of the K scores, if they are not the scores of classes.
        region: The positions that the scores are summed over, for all images or for each; see
            `Request`.
        box: A box that crops the region.
        inputs: Values of further inputs, for all examples or for each.
        tokens: Texts of token ids; see `token_table.read_tokens`.
        progress: Called with the number of finished runs and of all runs.
        boxes: Which boxes of a detector are explained; None: the model is no detector.
        files: The artifact, and the files that the request names.
        prompts: The texts that images are compared with; None: others are not, or by `selection`.
    """

    session: Session
    heads: Heads
    reader: ExampleReader
    placing: Placing
    selection: NDArray[Any]
    methods: Mapping[str, Mapping[str, Any]]
    layers: list[Layer]
    fuse: Fuse
    augment: tuple[Augment, ...]
    rows: list[str] | None
    region: Region | Sequence[Region | None] | None
    box: Sequence[int] | None
    inputs: Inputs | None
    tokens: list[str] | dict[int, str] | None
    progress: Progress | None
    boxes: BoxRequest | None = None
    files: Sequence[Path] = ()
    prompts: Prompts | None = None

    def part(self, rows: slice) -> Plan:
        """Return the plan for some of its examples."""
        if len(self.selection) < 2:
            return self
        return replace(self, selection=self.selection[rows])

    def run(self, feeds: Tensors) -> list[MethodOutput]:
        """Run each method on a batch of images and return their outputs, in the methods' order.

        Classes, scores and output are those of the plain images. Raw maps of the augmented images
        are averaged for each layer, then the layers are fused. One run of the artifact serves all
        formulas of activations and gradients.

        Args:
            feeds: The artifact's inputs by name.

        Raises:
            InputError: The artifact lacks what a method needs, or layers differ in kind.
            SessionError: ONNX Runtime failed.
        """
        image, layer = self.reader.main, self.layers[0]
        batch = MethodInput(self.session, feeds, image, layer, self._part(0), self.heads)
        plain = self._run_methods(batch)
        copies = [[[output.maps for output in outputs] for outputs in plain]]
        for change, changed in self._augmented(batch, plain[0][0].classes):
            found = self._run_methods(changed)
            copies.append([[change.restore(output.maps) for output in outs] for outs in found])
        results: list[MethodOutput] = []
        for number, (method, options) in enumerate(self.methods.items()):
            by_layer = zip(*(copy[number] for copy in copies), strict=True)
            means = [np.mean(maps, axis=0) for maps in by_layer]
            maps = fuse(means, self.fuse, METHODS[method].is_signed(options))
            results.append(replace(plain[number][0], maps=maps))
        return results

    def _augmented(
        self, batch: MethodInput, classes: NDArray[np.int64]
    ) -> Iterator[tuple[Change, MethodInput]]:
        """Yield each change with the changed images as a batch for the same classes."""
        changes, formulas = changes_of(self.augment), self.formula_outputs()
        names = [*dict.fromkeys([*batch.common_outputs, *formulas])] if formulas else []
        feeds = dict(batch.feeds)
        if self.session.spec.class_index is not None:
            feeds[self.session.spec.class_index] = classes
        rerun = Rerun(self.session, batch.input, feeds)

        def changed(part: slice) -> Tensors:
            found = [change.apply(batch) for change in changes[part]]
            return {name: np.stack([one[name] for one in found]) for name in found[0]}

        found = rerun.outputs(len(changes), changed, names) if names else repeat(Tensors())
        for number, (change, got) in enumerate(zip(changes, found, strict=False), start=1):
            own = {**feeds, **change.apply(batch)}
            changed_batch = replace(batch, feeds=own, progress=self._part(number))
            yield change, changed_batch.with_fetched(got)

    def _part(self, number: int) -> Progress | None:
        """Return the progress of a run of the methods: together, all runs count up once."""
        progress, parts = self.progress, 1 + len(changes_of(self.augment))
        if progress is None:
            return None
        return lambda done, total: progress(number * total + done, parts * total)

    def _run_methods(self, batch: MethodInput) -> list[list[MethodOutput]]:
        """Run each method on each layer: a list of layers for each method."""
        names = self.formula_outputs()
        if names:
            batch.fetch(dict.fromkeys([*batch.common_outputs, *names]))
        return [
            [run_method(batch.at_layer(layer), method, options) for layer in self.layers]
            for method, options in self.methods.items()
        ]

    def formula_outputs(self) -> list[str]:
        """Names of the outputs that the formulas among the methods read; empty without formulas."""
        return list(
            dict.fromkeys(
                name
                for method, options in self.methods.items()
                for layer in self.layers
                for name in formula_outputs(self.session.spec, layer, method, options)
            )
        )


def join(plans: Sequence[Plan]) -> Plan:
    """Return one plan for an example of each of several plans, which differ in their classes only.

    Args:
        plans: Plans for K classes each, of one artifact and otherwise equal; those of detectors
            are all the same.
    """
    first = plans[0]
    if len(plans) == 1 or first.boxes is not None:
        return first
    return replace(first, selection=np.concatenate([plan.selection for plan in plans]))


def make_plan(
    session: Session, heads: Heads, request: Request, methods: Sequence[str] | None = None
) -> Plan:
    """Check a request against an artifact and convert it to a plan.

    Args:
        session: The artifact.
        heads: Heads of its layers.
        request: The caller's request.
        methods: Several methods in place of the request's one.

    Raises:
        TypeError: A keyword is unknown.
        ClassError: A class or ``top`` is out of range, or a label unknown.
        InputError: A method, option, output, layer, fusion or augmentation is unknown; weights do
            not fit; a region is given but the scores have no positions; or there is no input
            ``over``.
    """
    check_request(request)
    options = request.get("options") or {}
    if methods is None:
        method = request.get("method", session.spec.layers[0].method or "gradcam")
        by_method = {check_method(method, options): options}
    else:
        if "method" in request:
            raise TypeError("compare() takes a list of methods; leave method= out")
        by_method = share_options(methods, options)
    session = session.about(choose_output(session.spec, request.get("output")))
    classes, weights = request.get("classes"), request.get("score_weights")
    rows, spec = None, session.spec
    boxes = _boxes_of(spec, request, by_method)
    prompts = _prompts_of(session, request)
    if spec.score.has_bank and request.get("prompts") is not None:
        classes = request.get("prompts")
    if boxes is not None:
        selection = np.zeros((1, 0), np.int64)  # box_maps chooses
    elif prompts is not None:
        selection = prompts.selection(np.zeros((1, 0), np.int64))  # each batch chooses
    elif takes_weights(session, weights, classes):
        rows, selection = name_rows(session, weights)
    else:
        selection = np.array([choose_classes(spec, classes, request.get("top", 1))], np.int64)
    how = request.get("fuse", "mean")
    check_name("way to fuse", how, FUSES)
    named = request.get("layer")
    layers = spec.layers if boxes and named is None else choose_layers(spec, named)
    _check_layers(by_method, named)
    check_fusing(layers)
    augment = choose_augment(request.get("augment", False))
    reader = ExampleReader(session)
    placing = Placing(session, reader.main, request.get("over"))
    inputs, tokens = request.get("inputs"), request.get("tokens")
    reader.check_names(inputs or {})
    region, box = request.get("region"), request.get("box")
    if region is not None or box is not None:
        region_input(session)
    return Plan(
        session, heads, reader, placing, selection, by_method, layers, how, augment, rows, region,
        box, inputs, None if tokens is None else read_tokens(tokens), request.get("progress"),
        boxes, [session.path, *_files(request)], prompts,
    )  # fmt: skip


def _check_layers(methods: Mapping[str, Mapping[str, Any]], named: object) -> None:
    """Refuse a layer for methods that have none."""
    apart = [method for method in methods if method in ATTENTION_METHODS]
    if named is not None and apart:
        raise InputError(
            f"method '{apart[0]}' follows attention through the model, not a layer; leave layer "
            "(--layer) out"
        )


def _files(request: Request) -> list[Path]:
    named = [request.get(name) for name in ("region", "score_weights", "tokens", "bank")]
    return [Path(one) for one in named if isinstance(one, (str, Path))]


def _prompts_of(session: Session, request: Request) -> Prompts | None:
    """Return the texts that images are compared with; None: the artifact's own, or none.

    Raises:
        InputError: They come with classes or weights, or do not fit the artifact.
        ClassError: ``top`` is out of range.
    """
    prompts, bank = request.get("prompts"), request.get("bank")
    if prompts is None and bank is None:
        return None
    given = [name for name in ("classes", "score_weights") if request.get(name) is not None]
    if given:
        raise InputError(f"prompts are explained instead of {given[0]}; leave one of them out")
    return choose_prompts(session, prompts, bank, request.get("top", 1))


def _boxes_of(
    spec: Spec, request: Request, methods: Mapping[str, Mapping[str, Any]]
) -> BoxRequest | None:
    """Return which boxes are explained; None: the model is no detector.

    Raises:
        InputError: Keywords, or a method, do not fit.
        ClassError: A class is unknown.
    """
    if spec.detector is None:
        given = {name: request.get(name) for name in BOX_KEYS}
        stray = [name for name, one in given.items() if one is not None and one is not False]
        if stray:
            raise InputError(
                f"the artifact is no detector, and takes no {', '.join(stray)}; choose classes by "
                "classes= and top="
            )
        return None
    for method in methods:
        check_method_of_boxes(method, spec.detector)
    return box_request(spec, request)
