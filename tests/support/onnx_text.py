"""ONNX models from ONNX's own textual form, subgraphs and functions included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper


def parsed(text: str, constants: Mapping[str, Any]) -> onnx.ModelProto:
    """The model that ``text`` spells, with initializers; its nodes are called n0, n1 and so on."""
    proto = onnx.parser.parse_model(text)
    for name, array in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    for number, node in enumerate(proto.graph.node):
        node.name = f"n{number}"
    return proto
