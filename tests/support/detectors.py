"""Tiny detectors of two levels as ONNX models, in the forms that exporters give real ones.

The image is 32 x 32 pixels; the levels have strides 8 and 16, and so 16 + 4 anchors, the finer
level's first. Class and box branches are a convolution each; boxes are distances from the middle
of an anchor's cell, in strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx

from support.onnx_text import parsed

SIZE = 32
STRIDES = (8, 16)
ANCHORS = 20
CHANNELS = 6
NAMES = ("cat", "dog", "owl")

Ending = Literal["dense", "end_to_end", "one_selection", "nms"]


@dataclass(frozen=True)
class Tiny:
    """What the detector looks like.

    Attributes:
        ending: What follows the decoding: nothing (``dense``); two selections of the best by TopK,
            of anchors and then of their classes (``end_to_end``); one TopK of all scores
            (``one_selection``); or a NonMaxSuppression (``nms``).
        classes: Number of classes.
        rows: The output is [N, anchors, entries]; else [N, entries, anchors].
        corners: Boxes are left, top, right, bottom; else centre and size.
        unit: Boxes are shares of the input's sides; else pixels.
        objectness: An entry before the classes says whether there is any object.
        coupled: With ``objectness``: one convolution for all entries, decoded by level, whose
            sigmoid comes first, as in YOLOv5.
        activated: Scores are probabilities; else logits.
        extra: Entries after the classes, such as coefficients of masks.
        extra_sigmoid: They end in a sigmoid, as an angle does.
        open_sizes: The batch, height and width are open, and the grid is computed in the graph.
        slots: Number of slots of the endings with a selection.
        centre_point: Of ``nms``: boxes are centre and size (``center_point_box``); else corners,
            the vertical number first.
        half: float16.
        texts: Metadata as exporters of the YOLO family write it.
        names: Class names in it.
        output: Name of the dense or selected output.
    """

    ending: Ending = "dense"
    classes: int = 3
    rows: bool = False
    corners: bool = False
    unit: bool = False
    objectness: bool = False
    coupled: bool = False
    activated: bool = True
    extra: int = 0
    extra_sigmoid: bool = False
    open_sizes: bool = False
    slots: int = 5
    centre_point: bool = False
    half: bool = False
    texts: bool = True
    names: Sequence[str] | None = NAMES
    output: str = "output0"


def detector(tiny: Tiny | None = None, *, task: str = "detect", seed: int = 0) -> onnx.ModelProto:
    """The ONNX model of a `Tiny`, with random weights."""
    builder = _Builder(tiny or Tiny(), np.random.default_rng(seed))
    proto = builder.model()
    tiny = builder.tiny
    if tiny.texts:
        texts = {"task": task, "stride": "16", "imgsz": f"[{SIZE}, {SIZE}]"}
        if tiny.names is not None:
            texts["names"] = repr(dict(enumerate(tiny.names)))
        onnx.helper.set_model_props(proto, texts)
    return proto


class _Builder:
    def __init__(self, tiny: Tiny, generator: np.random.Generator) -> None:
        self.tiny, self.generator = tiny, generator
        self.lines: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.outputs: list[str] = []
        self.kind = "float16" if tiny.half else "float"

    def model(self) -> onnx.ModelProto:
        tiny = self.tiny
        self.backbone()
        self.finish(self.coupled() if tiny.coupled else self.joined())
        batch, side = ("N", ("H", "W")) if tiny.open_sizes else ("1", (SIZE, SIZE))
        body = "\n".join(self.lines)
        text = f"""<ir_version: 8, opset_import: ["" : 18]>
        tiny ({self.kind}[{batch}, 3, {side[0]}, {side[1]}] images) => ({", ".join(self.outputs)})
        {{ {body} }}"""
        return parsed(text, self.constants)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def numbers(self, name: str, array: object) -> str:
        data = np.asarray(array)
        if data.dtype.kind == "f":
            data = data.astype(np.float16 if self.tiny.half else np.float32)
        self.constants[name] = data
        return name

    def conv(
        self, name: str, source: str, channels: tuple[int, int], side: int, **more: int
    ) -> str:
        """A convolution with bias; ``pads`` and ``strides`` are the same on all sides."""
        out, inside = channels
        weights = self.generator.standard_normal((out, inside, side, side))
        self.numbers(f"{name}_w", weights / np.sqrt(inside * side * side) * 1.5)
        self.numbers(f"{name}_b", self.generator.standard_normal(out) * 0.3)
        given = [f"{key} = [{', '.join([str(value)] * (4 if key == 'pads' else 2))}]"
                 for key, value in more.items()]  # fmt: skip
        attributes = f"<{', '.join(given)}>" if given else ""
        self.say(f"{name} = Conv {attributes} ({source}, {name}_w, {name}_b)")
        return name

    def backbone(self) -> None:
        self.conv("fine_sums", "images", (CHANNELS, 3), 8, strides=8)
        self.say("fine = Relu(fine_sums)")
        self.conv("coarse_sums", "fine", (CHANNELS, CHANNELS), 2, strides=2)
        self.say("coarse = Relu(coarse_sums)")

    def branch(self, name: str, entries: int) -> str:
        """A branch of the head, [N, entries, anchors] of both levels."""
        self.numbers(f"{name}_flat", np.array([0, entries, -1]))
        for level in ("fine", "coarse"):
            inner = self.conv(f"{level}_{name}_in", level, (CHANNELS, CHANNELS), 3, pads=1)
            self.say(f"{inner}_r = Relu({inner})")
            last = self.conv(f"{level}_{name}", f"{inner}_r", (entries, CHANNELS), 1)
            self.say(f"{last}_flat = Reshape({last}, {name}_flat)")
        self.say(f"{name} = Concat <axis = 2> (fine_{name}_flat, coarse_{name}_flat)")
        return name

    def grid(self) -> None:
        """``middles`` [1, 2, anchors] in strides and ``strides`` [1, 1, anchors]."""
        if not self.tiny.open_sizes:
            middles, strides = list[tuple[float, float]](), list[int]()
            for stride in STRIDES:
                side = SIZE // stride
                middles += [(x + 0.5, y + 0.5) for y in range(side) for x in range(side)]
                strides += [stride] * side * side
            self.numbers("middles", np.array(middles).T[None])
            self.numbers("strides", np.array(strides, float)[None, None])
            return
        self.numbers("zero", np.array(0))
        self.numbers("one", np.array(1))
        self.numbers("flat_row", np.array([1, 1, -1]))
        self.numbers("half", np.array(0.5))
        for level, stride in zip(("fine", "coarse"), STRIDES, strict=True):
            self.numbers(f"{level}_stride", np.array(float(stride)))
            self.say(f"{level}_h = Shape <start = 2, end = 3> ({level})")
            self.say(f"{level}_w_ = Shape <start = 3, end = 4> ({level})")
            self.say(f"{level}_hw = Concat <axis = 0> ({level}_h, {level}_w_)")
            self.numbers("first", np.array([0]))
            for axis, extent in (("x", "w_"), ("y", "h")):
                self.say(f"{level}_{axis}_n = Squeeze({level}_{extent}, first)")
                self.say(f"{level}_{axis}_i = Range(zero, {level}_{axis}_n, one)")
                kind = 10 if self.tiny.half else 1
                self.say(f"{level}_{axis}_f = Cast <to = {kind}> ({level}_{axis}_i)")
                self.say(f"{level}_{axis}_m = Add({level}_{axis}_f, half)")
            self.numbers("last", np.array([1]))
            self.say(f"{level}_y_c = Unsqueeze({level}_y_m, last)")
            for axis, source in (("x", "x_m"), ("y", "y_c")):
                self.say(f"{level}_{axis}_e = Expand({level}_{source}, {level}_hw)")
                self.say(f"{level}_{axis} = Reshape({level}_{axis}_e, flat_row)")
            self.say(f"{level}_xy = Concat <axis = 1> ({level}_x, {level}_y)")
            self.say(f"{level}_zero = Sub({level}_x, {level}_x)")
            self.say(f"{level}_strides = Add({level}_zero, {level}_stride)")
        self.say("middles = Concat <axis = 2> (fine_xy, coarse_xy)")
        self.say("strides = Concat <axis = 2> (fine_strides, coarse_strides)")

    def boxes(self) -> str:
        """Boxes [N, 4, anchors]."""
        self.grid()
        for number in (0, 2, 4):
            self.numbers(f"at_{number}", np.array([number]))
        self.numbers("entries_axis", np.array([1]))
        self.branch("distances", 4)
        self.say("positive = Softplus(distances)")
        self.say("before = Slice(positive, at_0, at_2, entries_axis)")
        self.say("after = Slice(positive, at_2, at_4, entries_axis)")
        self.say("low = Sub(middles, before)")
        self.say("high = Add(middles, after)")
        if self.tiny.corners:
            self.say("in_strides = Concat <axis = 1> (low, high)")
        else:
            self.numbers("two", np.array(2.0))
            self.say("both = Add(low, high)")
            self.say("centre = Div(both, two)")
            self.say("size = Sub(high, low)")
            self.say("in_strides = Concat <axis = 1> (centre, size)")
        self.say("pixels = Mul(in_strides, strides)")
        if not self.tiny.unit:
            return "pixels"
        self.numbers("side", np.array(float(SIZE)))
        self.say("shares = Div(pixels, side)")
        return "shares"

    def joined(self) -> str:
        """The dense output [N, entries, anchors] of a head with branches."""
        tiny = self.tiny
        parts = [self.boxes()]
        if tiny.objectness:
            self.branch("objectness", 1)
            parts.append(self.activation("objectness"))
        self.branch("scores", tiny.classes)
        parts.append(self.activation("scores"))
        if tiny.extra:
            self.branch("extra", tiny.extra)
            if tiny.extra_sigmoid:
                self.say("extra_p = Sigmoid(extra)")
            parts.append("extra_p" if tiny.extra_sigmoid else "extra")
        self.say(f"joined = Concat <axis = 1> ({', '.join(parts)})")
        return "joined"

    def activation(self, name: str) -> str:
        if not self.tiny.activated:
            return name
        self.say(f"{name}_p = Sigmoid({name})")
        return f"{name}_p"

    def coupled(self) -> str:
        """The dense output [N, anchors, entries] of a head with one convolution a level."""
        tiny = self.tiny
        entries = 5 + tiny.classes
        self.numbers("two", np.array(2.0))
        self.numbers("half", np.array(0.5))
        self.numbers("parts", np.array([2, 2, entries - 4]))
        self.numbers("rows", np.array([1, -1, entries]))
        for level, stride in zip(("fine", "coarse"), STRIDES, strict=True):
            side = SIZE // stride
            self.numbers(f"{level}_shape", np.array([1, 1, entries, side, side]))
            self.numbers(f"{level}_stride", np.array(float(stride)))
            cells = [[[[(x, y) for x in range(side)] for y in range(side)]]]
            self.numbers(f"{level}_cells", np.array(cells, float))
            self.numbers(f"{level}_sizes", np.full((1, 1, 1, 1, 2), 1.5 * stride))
            name = self.conv(f"{level}_all", level, (entries, CHANNELS), 1)
            self.say(f"{level}_five = Reshape({name}, {level}_shape)")
            self.say(f"{level}_turned = Transpose <perm = [0, 1, 3, 4, 2]> ({level}_five)")
            self.say(f"{level}_p = Sigmoid({level}_turned)")
            self.say(f"{level}_xy, {level}_wh, {level}_rest = "
                     f"Split <axis = 4> ({level}_p, parts)")  # fmt: skip
            self.say(f"{level}_xy2 = Mul({level}_xy, two)")
            self.say(f"{level}_xy3 = Sub({level}_xy2, half)")
            self.say(f"{level}_xy4 = Add({level}_xy3, {level}_cells)")
            self.say(f"{level}_xy5 = Mul({level}_xy4, {level}_stride)")
            self.say(f"{level}_wh2 = Mul({level}_wh, two)")
            self.say(f"{level}_wh3 = Mul({level}_wh2, {level}_wh2)")
            self.say(f"{level}_wh4 = Mul({level}_wh3, {level}_sizes)")
            self.say(f"{level}_joined = Concat <axis = 4> "
                     f"({level}_xy5, {level}_wh4, {level}_rest)")  # fmt: skip
            self.say(f"{level}_rows = Reshape({level}_joined, rows)")
        self.say("joined = Concat <axis = 1> (fine_rows, coarse_rows)")
        return "joined"

    def finish(self, dense: str) -> None:
        """From the dense entries to the outputs."""
        tiny, name = self.tiny, self.tiny.output
        entries = 4 + tiny.objectness + tiny.classes + tiny.extra
        if tiny.coupled:
            entries = 5 + tiny.classes
        batch, anchors = ("N", "A") if tiny.open_sizes else ("1", str(ANCHORS))
        if tiny.ending == "dense":
            if tiny.rows and not tiny.coupled:
                self.say(f"{name} = Transpose <perm = [0, 2, 1]> ({dense})")
            else:
                self.say(f"{name} = Identity({dense})")
            shape = (
                (anchors, str(entries)) if tiny.rows or tiny.coupled else (str(entries), anchors)
            )
            self.outputs.append(f"{self.kind}[{batch}, {', '.join(shape)}] {name}")
            return
        if tiny.ending == "nms":
            self.suppressed(batch)
            return
        self.selected(dense, batch, entries)

    def selected(self, dense: str, batch: str, entries: int) -> None:
        """The best slots: anchors by their best class first, or all scores at once."""
        tiny, name = self.tiny, self.tiny.output
        self.numbers("count", np.array([tiny.slots]))
        self.numbers("classes", np.array(tiny.classes))
        self.numbers("two_axis", np.array([2]))
        self.numbers("cut", np.array([4, tiny.classes, *([tiny.extra] if tiny.extra else [])]))
        self.say(f"table = Transpose <perm = [0, 2, 1]> ({dense})")
        parts = "t_boxes, t_scores" + (", t_extra" if tiny.extra else "")
        self.say(f"{parts} = Split <axis = 2> (table, cut)")
        candidates = "t_scores"
        if tiny.ending == "end_to_end":
            self.numbers("minus_one", np.array([2]))
            self.say("t_best = ReduceMax <keepdims = 0> (t_scores, minus_one)")
            self.say("best_values, best = TopK <axis = 1> (t_best, count)")
            self.say("best_column = Unsqueeze(best, two_axis)")
            self.numbers("to_scores", np.array([1, tiny.slots, tiny.classes]))
            self.say("best_places = Expand(best_column, to_scores)")
            self.say("candidates = GatherElements <axis = 1> (t_scores, best_places)")
            candidates = "candidates"
        self.say(f"row = Flatten <axis = 1> ({candidates})")
        self.say("s_values, s_places = TopK <axis = 1> (row, count)")
        self.say("s_anchor = Div(s_places, classes)")
        self.say("s_class = Mod(s_places, classes)")
        anchor = "s_anchor"
        if tiny.ending == "end_to_end":
            self.say("s_which = GatherElements <axis = 1> (best, s_anchor)")
            anchor = "s_which"
        self.say(f"a_column = Unsqueeze({anchor}, two_axis)")
        taken = ["t_boxes", *(["t_extra"] if tiny.extra else [])]
        for number, part in enumerate(taken):
            self.numbers(f"to_{part}", np.array([1, tiny.slots, (4, tiny.extra)[number]]))
            self.say(f"{part}_places = Expand(a_column, to_{part})")
            self.say(f"{part}_taken = GatherElements <axis = 1> ({part}, {part}_places)")
        self.say("v_column = Unsqueeze(s_values, two_axis)")
        self.say("c_column = Unsqueeze(s_class, two_axis)")
        self.say(f"c_float = Cast <to = {10 if tiny.half else 1}> (c_column)")
        rest = ", t_extra_taken" if tiny.extra else ""
        self.say(f"{name} = Concat <axis = 2> (t_boxes_taken, v_column, c_float{rest})")
        shape = f"{batch}, {tiny.slots}, {6 + tiny.extra}"
        self.outputs.append(f"{self.kind}[{shape}] {name}")

    def suppressed(self, batch: str) -> None:
        """NonMaxSuppression, and a GatherND for each of boxes, scores and classes."""
        tiny = self.tiny
        boxes = "shares" if tiny.unit else "pixels"
        self.say(f"n_boxes = Transpose <perm = [0, 2, 1]> ({boxes})")
        given = "n_boxes"
        if not tiny.centre_point and tiny.corners:
            self.numbers("swap", np.array([1, 0, 3, 2]))
            self.say("n_swapped = Gather <axis = 2> (n_boxes, swap)")
            given = "n_swapped"
        self.numbers("n_most", np.array([tiny.slots]))
        self.numbers("n_iou", np.array([0.5], np.float32))
        self.numbers("n_conf", np.array([0.1], np.float32))
        self.say(f"selected = NonMaxSuppression <center_point_box = {int(tiny.centre_point)}> "
                 f"({given}, scores_p, n_most, n_iou, n_conf)")  # fmt: skip
        self.numbers("n_zero", np.array([0]))
        self.numbers("n_one", np.array([1]))
        self.numbers("n_two", np.array([2]))
        self.numbers("n_three", np.array([3]))
        self.say("n_image = Slice(selected, n_zero, n_one, n_one)")
        self.say("n_class = Slice(selected, n_one, n_two, n_one)")
        self.say("n_anchor = Slice(selected, n_two, n_three, n_one)")
        self.say("n_where = Concat <axis = 1> (n_image, n_anchor)")
        self.say(f"boxes_kept = GatherND({given}, n_where)")
        self.say("scores_kept = GatherND(scores_p, selected)")
        self.say("classes_kept = Squeeze(n_class, n_one)")
        self.outputs += [
            f"{self.kind}[M, 4] boxes_kept", f"{self.kind}[M] scores_kept", "int64[M] classes_kept",
        ]  # fmt: skip
