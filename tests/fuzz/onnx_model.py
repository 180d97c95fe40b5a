"""Random ONNX files: their steps are those of tests/support/operators/graph_*.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx.printer
from onnx import numpy_helper

from graftcam.exporter import export
from support.operators import (
    graph_steps,
    graph_steps_flow,
    graph_steps_maps,
    graph_steps_values,
)
from support.operators.graph_builder import Builder, Chooser, Shape
from support.operators.graph_table import STEPS
from support.sessions import open_session

from .onnx_judge import Files, judge
from .program import Choices, took
from .trial import SCORE, Judgement

# Steps are registered by these modules as they are imported.
BY_NAME = {one.name: one for one in STEPS}
TABLES = (graph_steps, graph_steps_flow, graph_steps_maps, graph_steps_values)
# A value's numbers per image, its axes with the batch, and the largest number: small graphs that
# float32 computes well.
LARGEST, MOST_AXES, HIGHEST = 160, 5, 50.0
FIRST: tuple[Shape, ...] = (
    (2, 3, 4), (2, 3), (3, 5), (4, 4, 6), (3, 5, 4), (4, 3, 3), (6, 4), (2, 2, 3, 4), (2, 3, 3, 2),
)  # fmt: skip
OPSETS = (18, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21)
ELEMENTS = {np.float32: 1, np.float64: 11}
NAMES = {np.float32: "float", np.float64: "double"}


class UnfitError(Exception):
    """A step gives a value that the graph cannot go on with."""


class OnnxBuilder(Builder):
    """A graph from ``x`` over the layer ``L``, a copy of it.

    Attributes:
        batch: The number of images; None if it is open.
    """

    def __init__(self, choices: Choices) -> None:
        chooser = Chooser(choices)
        self.first: Shape = chooser.one_of(*FIRST)
        self.batch: int | None = chooser.one_of(None, None, 1, 2)
        opset = chooser.one_of(*OPSETS)
        super().__init__(choices, self.first, first="L", opset=opset, measure=_measured)

    @property
    def images(self) -> int:
        """The number of images that it is tried with."""
        return self.batch or 2

    def model(self, value: str, dtype: type, shape: Sequence[Any] | None = None) -> onnx.ModelProto:
        """The graph up to a value, or to ``y`` of this shape, behind the batch."""
        head = f"{NAMES[dtype]}[{self.batch or 'N'}, {', '.join(map(str, self.first))}] x"
        ends = f"[{', '.join(map(str, [self.batch or 'N', *shape]))}]" if shape else ""
        body = "\n".join(["L = Identity(x)", *self.lines])
        body = body.replace("FLOAT", str(ELEMENTS[dtype])).replace("REAL", NAMES[dtype])
        version = 10 if self.opset >= 21 else 9 if self.opset >= 19 else 8
        model = onnx.parser.parse_model(
            f'<ir_version: {version}, opset_import: ["" : {self.opset}]>\n'
            f"fuzzed ({head}) => ({NAMES[dtype]}{ends} {value}) {{ {body} }}"
        )
        if not shape:
            model.graph.output[0].type.tensor_type.ClearField("shape")
        for name, array in self.constants.items():
            made = array.astype(np.float32).astype(dtype) if array.dtype.kind == "f" else array
            model.graph.initializer.append(numpy_helper.from_array(made, name))
        return model


def _measured(build: Builder, name: str) -> Shape:
    """Shape of a value in ONNX Runtime, the batch not counted."""
    assert isinstance(build, OnnxBuilder)
    session = open_session(build.model(name, np.float32).SerializeToString())
    x = inputs((build.images, *build.first), 0)
    value = np.asarray(session.run([name], {"x": x})[0])
    fits = value.dtype == np.float32 and value.ndim <= MOST_AXES and value.ndim > 1
    if not fits or value.shape[0] != build.images or not 0 < value[0].size <= LARGEST:
        raise UnfitError(f"{name} is {value.dtype} {value.shape}")
    if not np.isfinite(value).all() or np.abs(value).max() > HIGHEST:
        raise UnfitError(f"{name} has numbers beyond {HIGHEST}")
    return value.shape[1:]


def inputs(shape: Sequence[int], seed: int) -> np.ndarray:
    """Random images whose numbers, and small steps from them, float32 represents exactly."""
    x = np.random.default_rng(seed).normal(0.0, 0.8, tuple(shape))
    return (np.round(x * 2**12) / 2**12).astype(np.float32)


@dataclass(frozen=True)
class OnnxSource:
    """An ONNX file.

    Attributes:
        model: The file.
        double: The same in float64.
        shape: Of its input.
    """

    model: onnx.ModelProto
    double: onnx.ModelProto
    shape: Shape
    suffix = ".txt"

    @property
    def text(self) -> str:
        """The file as text, which `onnx.parser` reads."""
        return onnx.printer.to_text(self.model)

    def why_it_does_not_run(self) -> str:
        """What ONNX Runtime says about it; nothing if it runs."""
        try:
            open_session(self.model.SerializeToString()).run(None, {"x": inputs(self.shape, 0)})
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            return str(error)
        return ""

    def export(self, path: Path, verify: Any) -> Any:
        """Write the artifact and return the report."""
        source = path.with_name("source.onnx")
        onnx.save(self.model, source)
        return export(source, path, layers="L", score=SCORE, verify=verify)

    def judge(self, path: Path, report: Any) -> Judgement:
        """Compare an artifact with differences of the file itself."""
        x = inputs(self.shape, 0)
        files = Files.opened(self.model, self.double, path, report.spec, x)
        random_ones = (inputs(self.shape, seed) for seed in itertools.count())
        return judge(files, random_ones, self.shape)


class OnnxKind:
    """How random ONNX files grow."""

    def start(self, choices: Choices) -> OnnxBuilder:
        """An input and the layer."""
        return OnnxBuilder(choices)

    def fitting(self, grown: OnnxBuilder) -> list[str]:
        """The steps for the latest value's rank; those of maps more often."""
        rank = len(grown.latest[1])
        found = [one for one in STEPS if rank in one.ranks and grown.opset >= one.since]
        return [
            one.name
            for one in found
            for _ in range(1 if one.rare else 5 + 4 * (1 not in one.ranks))
        ]

    def grow(self, grown: OnnxBuilder, name: str, choices: Choices) -> bool:
        """Take a step if ONNX Runtime runs it."""
        return took(grown, BY_NAME[name].make, choices)

    def finish(self, grown: OnnxBuilder, choices: Choices) -> OnnxSource:
        """Scores from the latest value."""
        grown.choose = choices
        grown.measure = None  # the scores' shape is known, and they may be large
        grown.close()
        made = [grown.model("y", dtype, grown.latest[1]) for dtype in (np.float32, np.float64)]
        return OnnxSource(made[0], made[1], (grown.images, *grown.first))
