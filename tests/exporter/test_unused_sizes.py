"""Questions about sizes that PyTorch records and nothing reads do not reach the ONNX graph."""

from __future__ import annotations

import operator

import torch

from graftcam.exporter.capture.unused_sizes import remove_unused_sizes


def test_an_answer_that_is_only_checked_is_removed_and_one_that_is_read_stays() -> None:
    graph = torch.fx.Graph()
    image = graph.placeholder("image")
    size = graph.call_function(torch.ops.aten.sym_size.int, (image, 0))
    asked = graph.call_function(operator.eq, (size, 1))
    opposite = graph.call_function(torch.sym_not, (asked,))
    graph.call_function(torch.ops.aten._assert_scalar.default, (opposite, "not 1"))
    graph.call_function(operator.eq, (size, 1))
    read = graph.call_function(operator.gt, (size, 2))
    graph.output((image, read))
    remove_unused_sizes(graph)
    assert [node.target for node in graph.nodes if node.op == "call_function"] == [
        torch.ops.aten.sym_size.int,
        operator.gt,
    ]
