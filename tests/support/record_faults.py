"""Records with one fault each: what a strict reader refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from support.artifacts import spec
from support.box_artifacts import letterbox

Place = Sequence[str | int]


class Fault(NamedTuple):
    """One fault.

    Attributes:
        place: Where the value stands.
        value: The value.
        message: What the error says.
        plain: Whether a schema can say it: it is about one value alone.
    """

    place: Place
    value: Any
    message: str
    plain: bool = True


def record(*, detector: bool = False) -> dict[str, Any]:
    """A right record with every kind of field."""
    if detector:
        return json.loads(letterbox().to_json())
    found = json.loads(spec().to_json())
    layer, transform = found["layers"][0], found["preprocess"]
    layer |= {
        "methods": {"layercam": "more"}, "input_axes": [2, 1], "suffix_tokens": 0,
        "head": {"file": "m.head.onnx", "inputs": {"a": "activations"}, "outputs": ["beside"]},
    }  # fmt: skip
    transform |= {"longest": 99, "antialias": False, "anchor": "lower", "fill": [0, 114, 255]}
    found["verification"] |= {
        "errors": {"scores": 1e-6}, "thresholds": {"scores": 1e-4}, "checks": {"source": "pass"},
        "onnxruntime": "1.27.0", "unproven": ["why"],
    }  # fmt: skip
    found |= {
        "source": {"name": "m", "graph_sha256": "0f" * 32, "weights_sha256": "ab" * 32},
        "tools": {"torch": "2.9.0+cpu"}, "region": "region", "profile": "web",
        "settings": {
            "score": {"kind": "logit", "output": ["a", "b"], "class_axis": -1}, "extras": ["head"],
            "layers": ["stem"], "shapes": {"": [1, None]},
            "trace": {"opset": 18, "dynamic_batch": True, "dynamic_size": False},
        },
        "version": 3,
        "attention": {
            "blocks": [
                {
                    "name": "b0", "value": "softmax", "role": "chain", "tokens": "sum",
                    "weights": "attention.b0", "gradients": "attention_gradients.b0",
                    "queries": "q", "keys": "k", "values": "v", "result_gradients": "g",
                },
                {"name": "pool", "value": "softmax_1", "role": "pool"},
            ],
            "class_tokens": [0], "grid": [2, None], "prefix_tokens": 1, "suffix_tokens": 0,
            "input_axes": [2, 1],
            "methods": {"rollout": "heatmap.rollout"},
        },
    }  # fmt: skip
    return found


def changed(data: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """A copy of a record with another value at one place."""
    whole: Any = copy.deepcopy(data)
    inner = whole
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return whole


TRANSFORM, LAYER, HEAD = ("preprocess",), ("layers", 0), ("layers", 0, "head")
ATTENTION, BLOCK = ("attention",), ("attention", "blocks", 0)
PROOF, SCORE, TRACE = ("verification",), ("score",), ("settings", "trace")
FAULTS: dict[str, Fault] = {
    "version 0": Fault(("version",), 0, "version: 0 is not a whole number from 1 to 3"),
    "version true": Fault(("version",), True, "has no version"),
    "unknown field": Fault(("colour",), 1, r"unknown fields \['colour'\]"),
    "an empty name": Fault(("scores",), "", "scores: '' is not a name"),
    "a number as name": Fault(("scores",), 3, "scores: 3 is not a text"),
    "no layers": Fault(("layers",), [], "layers: .* is not a list of objects, 1 or more of them"),
    "attention in an old record": Fault(("version",), 2, "version.* 3, which has attention", False),
    "no blocks": Fault((*ATTENTION, "blocks"), [], "blocks: .* 1 or more of them"),
    "a role": Fault((*BLOCK, "role"), "cross", "'cross' is not one of chain, pool, class, apart"),
    "two blocks of one name": Fault((*BLOCK, "name"), "pool", "blocks of different names", False),
    "two tensors of one name": Fault((*BLOCK, "keys"), "q", "an output of its own", False),
    "a token before the first": Fault((*ATTENTION, "class_tokens"), [-1], "-1 is not a whole"),
    "labels": Fault(("labels",), ["a", 2], r"labels\[1\]: 2 is not a text"),
    "profile": Fault(("profile",), "gpu", "'gpu' is not one of web, webgpu, cuda, openvino"),
    "two layers of one name": Fault(
        ("layers",), [json.loads(spec().to_json())["layers"][0]] * 2, "of different names",
        plain=False,
    ),
    "one output twice": Fault(
        (*LAYER, "gradients"), "heatmap", "an output of its own", plain=False
    ),
    "layout": Fault((*LAYER, "layout"), "rows", "'rows' is not one of channels_first, "),
    "a grid of 0": Fault((*LAYER, "grid"), [0, 4], r"grid\[0\]: 0 is not a whole number from 1"),
    "no grid": Fault((*LAYER, "grid"), [], "grid: .* is not a list of"),
    "prefix": Fault((*LAYER, "prefix_tokens"), -1, "-1 is not a whole number from 0"),
    "a map's method": Fault((*LAYER, "methods"), {"\x1b[2J": "x"}, "is not a method's id"),
    "axes": Fault((*LAYER, "input_axes"), [1, 1], "a different axis for", plain=False),
    "more axes": Fault((*LAYER, "input_axes"), [1, 2, 3], "a different axis", plain=False),
    "the batch as axis": Fault((*LAYER, "input_axes"), [0, 1], "from 1 to 31"),
    "a head elsewhere": Fault((*HEAD, "file"), "../m.onnx", "a file name without folders"),
    "a head's folder": Fault((*HEAD, "file"), "..", "a file name without folders"),
    "a head on Windows": Fault((*HEAD, "file"), "a\\m.onnx", "a file name without folders"),
    "a head's drive": Fault((*HEAD, "file"), "C:m.onnx", "a file name without folders"),
    "a head's NUL": Fault((*HEAD, "file"), "m\x00.onnx", "a file name without folders"),
    "classes": Fault((*SCORE, "classes"), -1, "classes: -1 is not a whole number from 0"),
    "many classes": Fault((*SCORE, "classes"), 10**12, "is not a whole number from 0"),
    "single": Fault((*SCORE, "single_logit"), True, "4 is not 2, those of a single", plain=False),
    "axis 0": Fault((*SCORE, "class_axis"), 0, "class_axis: 0 is not a whole number from 1 to 31"),
    "half an axis": Fault((*SCORE, "class_axis"), 1.5, "1.5 is not a whole number"),
    "offset": Fault((*SCORE, "class_offset"), -4, "class_offset: -4 is not"),
    "kind": Fault((*SCORE, "kind"), "loss", "'loss' is not one of logit, output"),
    "size of one": Fault((*TRANSFORM, "size"), [32], r"\[32\] is not a list of .*, 2 of them"),
    "negative size": Fault((*TRANSFORM, "size"), [-32, -32], "-32 is not a whole number from 1"),
    "a huge size": Fault((*TRANSFORM, "size"), [10**9] * 2, "from 1 to 65536"),
    "resize to 0": Fault((*TRANSFORM, "resize"), [0], r"resize\[0\]: 0 is not"),
    "resize to nothing": Fault((*TRANSFORM, "resize"), [], r"resize: \[\] is not a list of"),
    "resize to 3": Fault((*TRANSFORM, "resize"), [1, 2, 3], "1 to 2 of them"),
    "zero std": Fault((*TRANSFORM, "std"), [0, 0, 0], r"std\[0\]: 0 is not a number from 1e-12"),
    "negative std": Fault((*TRANSFORM, "std"), [1, -1, 1], r"std\[1\]: -1 is not a number"),
    "a std for another": Fault((*TRANSFORM, "std"), [1.0], "not 3 numbers, as", plain=False),
    "two means": Fault((*TRANSFORM, "mean"), [0.5, 0.5], "1 or 3 numbers", plain=False),
    "a text as mean": Fault((*TRANSFORM, "mean"), "0.5", "is not a list of numbers"),
    "beyond floats": Fault((*TRANSFORM, "mean"), [10**39] * 3, "is not a number from"),
    "scale 0": Fault((*TRANSFORM, "scale"), 0, "scale: 0 is not a number from 1e-12"),
    "a true scale": Fault((*TRANSFORM, "scale"), True, "scale: True is not a number"),
    "levels": Fault((*TRANSFORM, "fill"), [256], r"fill\[0\]: 256 is not a whole number from"),
    "two levels": Fault((*TRANSFORM, "fill"), [1, 2], "one level, or 3", plain=False),
    "anchor": Fault((*TRANSFORM, "anchor"), "middle", "'middle' is not one of lower, top_left"),
    "longest": Fault((*TRANSFORM, "longest"), 0, "longest: 0 is not"),
    "antialias": Fault((*TRANSFORM, "antialias"), True, "antialias: True is not one of False"),
    "no thresholds": Fault((*PROOF, "thresholds"), {}, "also for 'scores'", plain=False),
    "negative error": Fault((*PROOF, "errors"), {"scores": -1}, "is not a number from 0 on"),
    "verdict": Fault((*PROOF, "verdict"), "sure", "'sure' is not one of pass, fail"),
    "a check's status": Fault((*PROOF, "checks"), {"source": "fine"}, "'fine' is not one of pass"),
    "runtime's version": Fault((*PROOF, "onnxruntime"), "1\n2", "is not a version"),
    "a tool's version": Fault(("tools",), {"torch": 2}, r"tools\['torch'\]: 2 is not"),
    "a digest": Fault(("source",), {"graph_sha256": "beef"}, "64 hexadecimal digits", plain=False),
    "opset": Fault((*TRACE, "opset"), 17, "opset: 17 is not a whole number from 18"),
    "shapes": Fault(("settings", "shapes"), {"x": [0]}, "0 is not a whole number from 1"),
    "names": Fault(("settings", "score", "output"), ["a", 1], r"output\[1\]: 1 is not"),
}  # fmt: skip

BOXES = ("detector", "box_entries")
DETECTOR_FAULTS: dict[str, Fault] = {
    "an older version": Fault(("version",), 1, "1 is not 2, which has detectors", plain=False),
    "no boxes": Fault(BOXES, [], "box_entries: .* is not a list of objects, 1 or more"),
    "box axis": Fault((*BOXES, 0, "box_axis"), 3, "3 is not a whole number from 1 to 2"),
    "count": Fault((*BOXES, 0, "count"), 0, "count: 0 is not a whole number from 1"),
    "stride": Fault(("detector", "levels", 0, "stride"), [0, 8], "0 is not a number from 1e-06"),
    "units": Fault(("detector", "box_units"), "metres", "'metres' is not one of pixels, unit"),
}

TEXTS: dict[str, tuple[str, str]] = {
    "nothing": ("", "is not valid JSON"),
    "a list": ("[]", "has no version"),
    "NaN": ('{"version": 1, "x": NaN}', "NaN is no number of JSON"),
    "infinity": ('{"version": 1, "x": -Infinity}', "-Infinity is no number of JSON"),
    "beyond doubles": ('{"version": 1, "x": 1e999}', "1e999 is beyond all numbers"),
    "digits": (f'{{"version": {"9" * 100_000}}}', "a number has 100000 digits"),
    "a key twice": ('{"version": 2, "version": 1}', "the key 'version' stands twice"),
    "half a pair": (r'{"version": 1, "labels": ["\ud800"]}', "surrogates not allowed"),
    "half a pair as key": (r'{"version": 1, "\udfff": 1}', "surrogates not allowed"),
    "deep": ('{"version": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "deep inside each"),
    "65 deep": ("[" * 65 + "]" * 65, "more than 64 deep"),
}  # fmt: skip
"""Texts that are no record, and what the error says."""
