"""The floor: multiplications and bytes of nodes, parts of a run, the peak, and what is above it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graftcam.runtime.tools.bench.floor.floor import CAUSES, Floor, find_floor
from graftcam.runtime.tools.bench.floor.parts import parts_of
from graftcam.runtime.tools.bench.floor.saved_graph import SavedGraph, SavedNode
from graftcam.runtime.tools.bench.floor.text import WORDS, describe_floor
from graftcam.runtime.tools.bench.floor.work import Work, work_of
from graftcam.runtime.tools.bench.profile import Call, NodeTime, Profile, Tensor
from support.artifacts import spec

CPU = "CPUExecutionProvider"
Shape = tuple[int, ...]


def call(inputs: list[Shape], outputs: list[Shape], dtype: str = "float") -> Call:
    return Call([Tensor(dtype, one) for one in inputs], [Tensor(dtype, one) for one in outputs])


def timed(operator: str, inputs: list[Shape], outputs: list[Shape]) -> NodeTime:
    return NodeTime("n", operator, 1.0, CPU, 0, calls=[call(inputs, outputs)])


COUNTS: dict[str, tuple[str, list[Shape], list[Shape], int | None]] = {
    "convolution": ("Conv", [(2, 8, 9, 9), (16, 8, 3, 3)], [(2, 16, 7, 7)], 2 * 16 * 49 * 72),
    "depthwise": ("Conv", [(1, 8, 9, 9), (8, 1, 3, 3), (8,)], [(1, 8, 7, 7)], 8 * 49 * 9),
    "quantised": (
        "QLinearConv", [(1, 8, 9), (), (), (4, 8, 3), (), ()], [(1, 4, 7)], 4 * 7 * 24),
    "transposed": ("ConvTranspose", [(1, 16, 7, 7), (16, 4, 2, 2)], [(1, 8, 14, 14)],
                   16 * 49 * 4 * 4),
    "product": ("MatMul", [(5, 6, 7), (7, 8)], [(5, 6, 8)], 5 * 6 * 8 * 7),
    "vector times matrix": ("MatMul", [(7,), (7, 8)], [(8,)], 8 * 7),
    "matrix times vector": ("MatMul", [(6, 7), (7,)], [(6,)], 6 * 7),
    "transposed first factor": ("Gemm", [(7, 6), (7, 8)], [(6, 8)], 6 * 8 * 7),
    "packed second factor": ("FusedMatMul", [(5, 6, 7)], [(5, 6, 8)], 5 * 6 * 8 * 7),
    "no classes": ("Conv", [(0, 8, 9, 9), (16, 8, 3, 3)], [(0, 16, 7, 7)], 0),
    "no product": ("Mul", [(5, 6), (5, 6)], [(5, 6)], 0),
    "packed weight": ("ConvTranspose", [(1, 16, 7, 7)], [(1, 8, 14, 14)], None),
    "packed weight, bias": ("Conv", [(1, 8, 9, 9), (16,)], [(1, 16, 7, 7)], None),
}  # fmt: skip


@pytest.mark.parametrize(("operator", "inputs", "outputs", "macs"), COUNTS.values(), ids=COUNTS)
def test_multiplications(
    operator: str, inputs: list[Shape], outputs: list[Shape], macs: int | None
) -> None:
    work = work_of(timed(operator, inputs, outputs), None)
    assert work is not None
    assert work.macs == macs


def test_a_packed_weight_is_that_of_the_saved_graph_and_counts_as_moved() -> None:
    node = timed("ConvTranspose", [(1, 16, 7, 7), (4,)], [(1, 4, 14, 14)])
    names, weights = (
        ["x", "w", "b"],
        {"w": Tensor("float", (16, 4, 2, 2)), "b": Tensor("float", (4,))},
    )
    work = work_of(node, SavedNode("n", "ConvTranspose", names, ["y"], weights))
    moved = 16 * 49 + 16 * 4 * 4 + 4 + 4 * 196
    assert work == Work(16 * 49 * 4 * 4, 4 * moved)


BYTES = {
    "types": ("Cast", [Tensor("float16", (10,))], [Tensor("int64", (10,))], 20 + 80),
    "same memory": ("Reshape", [Tensor("float", (9,)), Tensor("int64", (2,))],
                    [Tensor("float", (3, 3))], 0),
    "some rows": ("Gather", [Tensor("float", (1000, 5)), Tensor("int64", (2,))],
                  [Tensor("float", (2, 5))], 40 + 16 + 40),
}  # fmt: skip


@pytest.mark.parametrize(("operator", "inputs", "outputs", "moved"), BYTES.values(), ids=BYTES)
def test_bytes(operator: str, inputs: list[Tensor], outputs: list[Tensor], moved: int) -> None:
    node = NodeTime("n", operator, 1.0, CPU, 0, calls=[Call(inputs, outputs)])
    assert work_of(node, None) == Work(0, moved)


def test_all_calls_of_a_loop_count() -> None:
    one = call([(2, 3), (3, 4)], [(2, 4)])
    node = NodeTime("n", "MatMul", 1.0, CPU, 3, held=True, calls=[one, one])
    work = work_of(node, None)
    assert work is not None
    assert work.macs == 2 * 24


def saved(text: str) -> SavedGraph:
    """A graph from lines ``name: operator inputs -> outputs``; the last one makes the output."""
    nodes: list[SavedNode] = []
    for line in text.strip().splitlines():
        left, _, outputs = line.partition("->")
        name, _, rest = left.partition(":")
        operator, *inputs = rest.split()
        nodes.append(SavedNode(name.strip(), operator, inputs, outputs.split()))
    return SavedGraph(nodes, ["logits", "activations", "heatmap"])


# The layer's value is kept in the blocked layout; ``aux`` is on no way to the score.
GRAPH = """
    stem: Conv image -> s
    conv: Conv s -> blocked
    ReorderOutput_1: ReorderOutput blocked -> activations
    head: Conv blocked -> top
    aux: Conv blocked -> aux
    ReorderOutput_2: ReorderOutput top -> t
    pool: GlobalAveragePool top -> pooled
    ReorderOutput_3: ReorderOutput pooled -> flat
    linear: Gemm flat -> logits
    : HardSigmoid t -> mask
    grad/head/mul: Mul mask logits -> g
    : QuickGelu g -> h
    ReorderInput_1: ReorderInput h -> i
    grad/cam: MatMul i activations -> heatmap
"""
EXPECTED = [
    "rest", "rest", "rest", "above", "rest", "added", "above", "above", "above", "added", "added",
    "added", "added", "added",
]  # fmt: skip


def test_parts_follow_the_values_not_the_order() -> None:
    found = parts_of(saved(GRAPH), spec())
    assert found == EXPECTED


def test_a_copy_for_the_mask_alone_is_added_and_one_for_the_model_is_not() -> None:
    both = GRAPH.replace("linear: Gemm flat", "linear: Gemm flat t")
    place = 5
    assert parts_of(saved(GRAPH), spec())[place] == "added"
    assert parts_of(saved(both), spec())[place] == "above"


def test_the_part_above_several_layers_is_above_any_of_them() -> None:
    layers = [replace(spec().layers[0], value=value) for value in ("s", "top")]
    found = parts_of(saved(GRAPH), replace(spec(), layers=layers))
    # The copy of the activations is on no way to the score.
    assert found == ["rest", "above", "rest", "above", *EXPECTED[4:]]


def test_the_whole_forward_is_above_the_input() -> None:
    layer = replace(spec().layers[0], value="image")
    found = parts_of(saved(GRAPH), replace(spec(), layers=[layer]))
    assert found == ["above", "above", *EXPECTED[2:]]


def test_a_value_that_the_optimiser_renamed_is_found_from_the_activations() -> None:
    text = GRAPH.replace("blocked -> activations", "blocked -> plain")
    tokens = "grad/tokens: Reshape plain -> activations"
    text = text.replace("grad/cam", f"{tokens}\n    grad/cam")
    layer = replace(spec().layers[0], value="gone")
    found = parts_of(saved(text), replace(spec(), layers=[layer]))
    # Now only added nodes read the copy in plain order.
    assert found == ["rest", "rest", "added", *EXPECTED[3:], "added"]


def test_a_model_behind_added_preprocessing_is_not_added() -> None:
    text = "grad/embed: Resize photo -> image" + GRAPH
    assert parts_of(saved(text), spec()) == ["added", *EXPECTED]


RUN = saved("""
    stem: Conv image -> activations
    head: Conv activations -> top
    linear: Gemm top -> logits
    grad/mask: Mul top logits -> m
    grad/head: ConvTranspose m -> g
    grad/cam: Add g activations -> heatmap
""")
MS = {"stem": 0.5, "head": 2.0, "linear": 1.0, "grad/mask": 1.5, "grad/head": 4.0, "grad/cam": 0.25}
HALF = 8 * 64 * 8 * 9  # multiplications of head
SHAPES: dict[str, tuple[list[Shape], list[Shape]]] = {
    "stem": ([(1, 4, 10, 10), (8, 4, 3, 3)], [(1, 8, 8, 8)]),
    "head": ([(1, 8, 10, 10), (8, 8, 3, 3)], [(1, 8, 8, 8)]),
    "linear": ([(1, 8), (8, 4)], [(1, 4)]),
    "grad/mask": ([(1, 8, 8, 8), (1, 8, 8, 8)], [(1, 8, 8, 8)]),
    "grad/head": ([(1, 8, 8, 8), (8, 8, 3, 3)], [(1, 8, 10, 10)]),
    "grad/cam": ([(1, 8, 8, 8), (1, 8, 8, 8)], [(1, 8, 8, 8)]),
}  # fmt: skip


def profile(**changes: object) -> Profile:
    nodes = [
        NodeTime(n.name, n.operator, MS[n.name], CPU, place, calls=[call(*SHAPES[n.name])])
        for place, n in enumerate(RUN.nodes)
    ]
    return Profile([replace(node, **changes) for node in nodes])  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def floor() -> Floor:
    return find_floor(profile(), spec(), RUN)


def test_the_peak_is_the_fastest_of_the_largest_nodes(floor: Floor) -> None:
    # head and grad/head have more than half of the multiplications; stem is faster, but small.
    assert floor.peak is not None
    assert (floor.peak.node, floor.peak.operator, floor.peak.macs) == ("head", "Conv", HALF)
    assert floor.peak.per_ms == HALF / 2


def test_parts_and_operators_sum_up(floor: Floor) -> None:
    assert [(row.part, row.nodes, row.ms) for row in floor.parts] == [
        ("above", 2, 3.0), ("rest", 1, 0.5), ("added", 3, 5.75),
    ]  # fmt: skip
    above, added = floor.part("above"), floor.part("added")
    assert above
    assert added
    assert (above.macs, added.macs) == (HALF + 32, HALF)
    assert added.share == pytest.approx(2 / 5.75)
    assert added.bytes == 4 * (6 * 512 + 512 + 576 + 800)
    of_added = [(row.operator, row.share) for row in floor.operators if row.part == "added"]
    assert of_added == [("ConvTranspose", 0.5), ("Mul", None), ("Add", None)]


def test_the_time_above_the_floor_has_causes(floor: Floor) -> None:
    assert floor.ratio == pytest.approx(HALF / (HALF + 32))
    assert (floor.at_peak_ms, floor.ms) == (2.0, 5.75)
    assert floor.of_above == pytest.approx(5.75 / 3)
    assert {cause: ms for cause, ms in floor.gap_ms.items() if ms} == {
        "conv_transpose": 2.0, "masks": 1.5, "sums": 0.25,
    }  # fmt: skip
    assert floor.at_peak_ms is not None
    assert sum(floor.gap_ms.values()) == floor.ms - floor.at_peak_ms
    assert floor.notes == []
    assert set(WORDS) == set(CAUSES)


def test_no_classes_leave_nothing_to_multiply() -> None:
    empty = profile()
    none = [
        replace(node, calls=[call([(0, 8)], [(0, 8)])]) if node.name.startswith("grad/") else node
        for node in empty.nodes
    ]
    found = find_floor(Profile(none), spec(), RUN)
    assert (found.ratio, found.at_peak_ms, found.ms) == (0, 0, 5.75)
    assert sum(found.gap_ms.values()) == 5.75
    assert "0.00 times the multiplications" in describe_floor(found, "K = 0")


def test_an_older_onnx_runtime_without_shapes_is_noted() -> None:
    found = find_floor(profile(calls=None), spec(), RUN)
    assert (found.peak, found.ratio, found.at_peak_ms, found.gap_ms) == (None, None, None, {})
    (note,) = found.notes
    assert "no shapes (input_type_shape, output_type_shape)" in note
    text = describe_floor(found, "K = 1")
    assert "peak: unknown" in text
    assert "forward above the layer      2  3.000" in text


@pytest.mark.parametrize("graph", [None, SavedGraph(RUN.nodes[1:], RUN.outputs)])
def test_without_the_graph_the_forward_is_whole(graph: SavedGraph | None) -> None:
    found = find_floor(profile(), spec(), graph)
    assert [(row.part, row.nodes) for row in found.parts] == [("rest", 3), ("added", 3)]
    assert (found.ratio, found.of_above) == (None, None)
    assert "the forward is not divided at the layer" in found.notes[0]
    text = describe_floor(found, "K = 1")
    assert "forward    " in text.splitlines()[2]
    assert "no part of the forward to compare with" in text


def test_products_that_are_not_counted_are_named() -> None:
    nodes = [replace(node, calls=[call([(1, 8, 8, 8)], [(1, 8, 10, 10)])])
             if node.name == "grad/head" else node for node in profile().nodes]  # fmt: skip
    found = find_floor(Profile(nodes), spec(), RUN)
    assert found.notes == [
        "the multiplications of 1 nodes (ConvTranspose, 4.000 ms) are not counted"
    ]


def test_what_an_added_branch_holds_is_added_whatever_it_reads() -> None:
    inner = SavedNode("inside", "MatMul", ["a", "w"], ["b"], {"w": Tensor("float", (8, 4))})
    choice = SavedNode("grad/asked", "If", ["asked"], ["heatmap"], inner=[inner])
    graph = SavedGraph([*RUN.nodes[:3], choice], RUN.outputs)
    nodes = [
        *profile().nodes[:3],
        NodeTime("grad/asked", "If", 0.5, CPU, 3, calls=[call([()], [(1, 4)])]),
        NodeTime("inside", "MatMul", 0.5, CPU, 3, held=True, calls=[call([(2, 8)], [(2, 4)])]),
        NodeTime("grad/other", "Mul", 0.0, CPU, None, held=True, calls=[]),
    ]
    found = find_floor(Profile(nodes), spec(), graph)
    added = found.part("added")
    assert added
    assert (added.nodes, added.ms, added.macs) == (3, 1.0, 2 * 4 * 8)


def test_the_text_fits_80_columns_and_lists_causes_by_time(floor: Floor) -> None:
    text = describe_floor(floor, "K = 1")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["nodes", "ms", "MMAC", "MB", "of", "peak", "GB/s"]
    causes = [line.split("  ")[1] for line in lines if line.endswith(" ms")]
    assert causes == ["ConvTranspose below the peak", "masks and derivatives", "sums"]
    words = " ".join(text.split())
    assert "At the peak they take 2.000 ms" in words
    assert "measured: 5.750 ms, 1.92 times that forward's time" in words


def test_many_operators_are_summed_in_one_line() -> None:
    text = describe_floor(find_floor(_wide(), spec(), None), "K = 1")
    assert "  3 others" in text
    assert text.count("\n  Op") == 6


def _wide() -> Profile:
    return Profile([
        NodeTime(f"grad/{n}", f"Op{n}", 9.0 - n, CPU, n, calls=[call([(1,)], [(1,)])])
        for n in range(9)
    ])  # fmt: skip
