"""Which part of a graph is differentiated, and what is refused before anything is written."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graftcam.exporter.differentiate.plan import Plan, plan
from graftcam.exporter.errors import LayerError, UnsupportedError
from support.onnx_text import parsed

CONSTANTS = {
    "w": np.ones((4, 3), np.float32),
    "codes": np.ones((4, 3), np.int8),
    "k": np.ones((2, 2, 3, 3), np.float32),
    "row": np.ones(4, np.float32),
    "pair": np.ones(2, np.float32),
    "one": np.float32(1),
    "scale": np.float32(0.5),
    "ratio": np.float32(0.5),
    "training": np.array(True),
    "widths": np.array([0, 1, 0, 1]),
    "trips": np.array(3),
    "wide": np.array([-1, 4]),
    "yes": np.array(True),
    "one_i": np.array([1]),
    "two_i": np.array([2]),
}


def _graph(body: str, *, shape: str = "N, 4", opset: int = 18) -> ir.Graph:
    text = f"""<ir_version: 9, opset_import: ["" : {opset}, "custom" : 1, "com.microsoft" : 1]>
    g (float[{shape}] x) => (float y) {{ {body} }}"""
    proto = parsed(text, CONSTANTS)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True)).graph


def _value(graph: ir.Graph, name: str) -> ir.Value:
    named = {v.name: v for v in [*graph.inputs, *(v for node in graph for v in node.outputs)]}
    return named[name]


def _plan(graph: ir.Graph, *targets: str) -> Plan:
    return plan(graph, graph.outputs[0], [_value(graph, name) for name in targets or ("x",)])


def _refusal(graph: ir.Graph, *targets: str) -> list[str]:
    with pytest.raises(UnsupportedError) as caught:
        _plan(graph, *targets)
    return caught.value.obstacles


def _types(made: Plan) -> list[str]:
    return [node.op_type for node in made.nodes]


LOOP = """n = Loop(trips, yes, {start}) <body = step (int64 i, bool go, {kind} s) =>
    (bool on, {kind} t) {{ on = Identity(go) t = Add(s, s) }}>"""
# Nodes, the layers, the nodes that are differentiated and the values that carry a derivative.
ACTIVE: dict[str, tuple[str, str, str, str]] = {
    "only what lies between layer and score": (
        "a = Relu(x) t = Tanh(a) side = Exp(t) b = Sigmoid(t) y = MatMul(b, w)", "t",
        "Sigmoid MatMul", "t b y"),
    "several layers are one plan": ("a = Relu(x) b = Tanh(a) y = Exp(b)", "b a", "Tanh Exp",
                                    "a b y"),
    "the score itself may be a layer": ("y = Relu(x)", "y", "", "y"),
    "a declared zero ends its branch only": (
        "a = Relu(x) s = Sign(a) d = Exp(s) y = Mul(d, a)", "a", "Mul", "a y"),
    "operators without a rule, off the path": (
        "before = Unique(x) t = Relu(before) side = Unique(t) y = Exp(t)", "t", "Exp", "t y"),
    "a loop over integers": (
        "i = ArgMax(x) j = Cast<to=7>(x) " + LOOP.format(start="j", kind="int64[N, 4]")
        + "r = Reshape(n, wide) f = Cast<to=1>(r) y = Mul(x, f)", "x", "Mul", "x y"),
    "the codes between quantiser and dequantiser": (
        """q = QuantizeLinear(x, scale) t = Transpose(q) u = Identity(t)
        d = DequantizeLinear(u, scale) y = Tanh(d)""", "x",
        "QuantizeLinear Transpose Identity DequantizeLinear Tanh", "x q t u d y"),
    "dequantised weights are constant": (
        "v = DequantizeLinear(codes, scale) y = MatMul(x, v)", "x", "MatMul", "x y"),
    "codes that are compared": (
        "q = QuantizeLinear(x, scale) b = Greater(q, q) f = Cast<to=1>(b) y = Mul(f, x)", "x",
        "QuantizeLinear Mul", "x q y"),
    "an input without a rule, unconnected to the layer": (
        "t = Relu(x) s = ReduceMax<keepdims=0>(x) y = Clip(t, s)", "t", "Clip", "t y"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "layers", "types", "active"), ACTIVE.values(), ids=ACTIVE)
def test_what_is_active(body: str, layers: str, types: str, active: str) -> None:
    made = _plan(_graph(body), *layers.split())
    assert _types(made) == types.split()
    assert {value.name for value in made.active} == set(active.split())


def test_a_layer_beside_the_score_is_named() -> None:
    graph = _graph("side = Tanh(x) y = Relu(x)")
    message = "layer value 'side' is not connected to the score 'y'; choose one from"
    with pytest.raises(LayerError, match=message):
        _plan(graph, "side")


@pytest.mark.parametrize(
    "body",
    [
        "y = Floor(x)",
        "s = Sign(x) y = Exp(s)",
        "m = Greater(x, x) y = Cast<to=1>(m)",
        "i = Cast<to=7>(x) y = Cast<to=1>(i)",
        "s = Shape(x) y = Cast<to=1>(s)",
        "i = ArgMax(x) y = Cast<to=1>(i)",
    ],
)
def test_a_score_without_a_derivative_is_refused(body: str) -> None:
    message = "the gradient of the score 'y' is structurally zero at 'x'; choose another layer"
    with pytest.raises(LayerError, match=message):
        _plan(_graph(body))


UNIQUE = (
    "no gradient rule: which elements are left over depends on their values, and equal ones have "
    "no derivative; choose a layer after it"
)
FOREIGN = (
    "no gradient rule: it is no operator of plain ONNX; give its definition along as a model-local "
    "function, or choose a layer after it"
)


def test_every_operator_without_a_rule_is_listed_at_once() -> None:
    graph = _graph("a = Unique(x) b = Relu(a) c = custom.Odd(b) y = Unheard(c)")
    next(iter(graph)).metadata_props["pkg.torch.onnx.name_scopes"] = "['', 'head', 'head.0', 'h']"
    assert _refusal(graph) == [
        f"Unique 'n0' (head.0): {UNIQUE}",
        f"custom.Odd 'n2': {FOREIGN}",
        "Unheard 'n3': no gradient rule",
    ]
    with pytest.raises(UnsupportedError, match="3 operators have no gradient between the layer"):
        _plan(graph)


def test_an_operator_newer_than_the_table_is_refused_with_the_opset_that_helps() -> None:
    assert _refusal(_graph("y = Unheard(x)", opset=24)) == [
        "Unheard 'n0': no gradient rule; export with opset 23 or older"
    ]


def test_an_operator_of_another_domain_is_not_the_one_of_the_same_name() -> None:
    assert _refusal(_graph("y = custom.Relu(x)")) == [f"custom.Relu 'n0': {FOREIGN}"]


def test_an_operator_that_onnx_runtime_fused_is_refused_with_how_to_undo_it() -> None:
    (line,) = _refusal(_graph('y = com.microsoft.FusedConv<activation="Relu">(x, w)'))
    assert line.startswith("com.microsoft.FusedConv 'n0': no gradient rule: it is no operator of")
    assert "give the model as it was before ONNX Runtime's optimisation" in line


def test_a_subgraph_on_the_path_is_refused_by_name() -> None:
    graph = _graph(
        """s = ReduceSum<keepdims=0>(x) c = Cast<to=9>(s) a = Tanh(x)
        y = If(c) <then_branch = yes () => (float[N, 4] p) { p = Relu(a) },
                   else_branch = no () => (float[N, 4] q) { q = Exp(a) }>"""
    )
    assert _refusal(graph, "a") == [
        "If 'n3': no gradient rule: which branch runs is decided at run time; export the model "
        "with the condition fixed, or choose a layer after it"
    ]


def test_a_loop_over_what_carries_a_derivative_is_refused_by_name() -> None:
    (line,) = _refusal(_graph(LOOP.format(start="x", kind="float[N, 4]") + "y = Exp(n)"))
    assert line.startswith("Loop 'n0': no gradient rule: its body runs a number of times")


def test_integers_that_stand_for_numbers_are_refused() -> None:
    graph = _graph("q, s, z = DynamicQuantizeLinear(x) f = Cast<to=1>(q) y = Add(f, x)")
    refused = _refusal(graph)
    assert refused[0].startswith("DynamicQuantizeLinear 'n0': no gradient rule: dynamically quan")


def test_the_first_layer_after_all_obstacles_is_named() -> None:
    graph = _graph(
        """u = Unique(x) s = Shape(x) a = Reshape(u, s) b = Conv(a, k) side = Mul(b, b)
        v = Unique(side) c = Reshape(v, s) p = MaxPool<kernel_shape=[1, 1]>(c) q = Sigmoid(p)
        m = Mul(q, b) r = Tanh(m) y = Flatten(r)""",
        shape="1, 2, 3, 3",
    )
    with pytest.raises(UnsupportedError, match="choose a later layer such as 'q', see") as caught:
        _plan(graph)
    assert caught.value.later == "q"
    assert _types(_plan(graph, "q")) == ["Mul", "Tanh", "Flatten"]


def test_a_later_layer_goes_by_its_module_path_where_the_graph_has_some() -> None:
    graph = _graph(
        "u = Unique(x) s = Shape(x) a = Reshape(u, s) b = Exp(a) c = Tanh(b) y = Flatten(c)",
        shape="1, 2, 3, 3",
    )
    for node, scope in zip(graph, ("", "", "", "stem", "stem", ""), strict=True):
        node.metadata_props["pkg.torch.onnx.name_scopes"] = f"['', '{scope}', 'node']"
    with pytest.raises(UnsupportedError, match="such as 'stem', see"):
        _plan(graph)


def test_no_later_layer_is_named_where_none_can_be_explained() -> None:
    with pytest.raises(UnsupportedError, match="choose a later layer, see") as caught:
        _plan(_graph("a = Unique(x) y = Relu(a)", shape="1, 2, 3, 3"))
    assert caught.value.later is None


def test_a_rank_that_shape_inference_lost_is_traced_to_where_it_was_lost() -> None:
    graph = _graph("t = Relu(x) side = custom.Odd(one) a = Add(t, side) b = Exp(a) y = Neg(b)")
    lost = "shape inference stops at 'side' (Odd 'n1'): write its shape into the model"
    assert _refusal(graph, "t") == [f"Add 'n2': the rank of 'a' is unknown; {lost}"]


@pytest.mark.parametrize(
    ("body", "obstacle"),
    [
        ("q = QuantizeLinear(x, scale) i = Cast<to=6>(q) y = Cast<to=1>(i)", "Cast 'n1'"),
        ("q = QuantizeLinear(x, scale) f = Cast<to=1>(q) y = Tanh(f)", "Cast 'n1'"),
        ("q = QuantizeLinear(x, scale) m = Max(q, q) y = DequantizeLinear(m, scale)", "Max 'n1'"),
    ],
)
def test_computing_with_codes_is_refused_not_taken_for_zero(body: str, obstacle: str) -> None:
    assert _refusal(_graph(body))[0] == (
        f"{obstacle}: it computes with the integers 'q', which has no gradient rule; "
        "quantise in QDQ format, with a DequantizeLinear before it"
    )


def test_an_integer_operator_is_refused_not_taken_for_zero() -> None:
    graph = _graph(
        """q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, codes, z)
        f = Cast<to=1>(i) y = Mul(f, s)"""
    )
    refused = [line.split(": dynamically quantised")[0] for line in _refusal(graph)]
    assert refused == [
        "DynamicQuantizeLinear 'n0': no gradient rule", "MatMulInteger 'n1': no gradient rule"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "shape", "obstacle"),
    [
        (
            "p = Transpose<perm=[1, 0, 2, 3]>(x) y = Conv(x, p)", "2, 2, 3, 3",
            "Conv 'n1': the gradient of its input 'p' has no rule",
        ),
        (
            "s = ReduceMax<keepdims=0>(x) y = Clip(x, s)", "N, 4",
            "Clip 'n1': the gradient of its input 's' has no rule",
        ),
        ("y = PRelu(x, x)", "N, 4", "PRelu 'n0': the gradient of its input 'x' has no rule"),
    ],
)  # fmt: skip
def test_an_input_that_a_rule_does_not_cover_is_refused(
    body: str, shape: str, obstacle: str
) -> None:
    assert _refusal(_graph(body, shape=shape)) == [obstacle]


def test_an_output_that_a_rule_does_not_cover_is_refused() -> None:
    body = "n, mean = LayerNormalization(x, row) y = Mul(mean, mean)"
    assert _refusal(_graph(body)) == [
        "LayerNormalization 'n0': the gradient of its output 'mean' has no rule"
    ]


def test_an_operator_in_its_older_form_is_refused() -> None:
    graph = _graph("y = GroupNormalization<num_groups=1>(x, pair, pair)", shape="1, 2, 3", opset=18)
    assert _refusal(graph) == [
        "GroupNormalization 'n0': opset 18 defines it otherwise; export with opset 21"
    ]


@pytest.mark.parametrize(
    ("body", "shape", "obstacle"),
    [
        (
            'y = Pad<mode="reflect">(x, widths)', "N, 1",
            "Pad 'n0': mode='reflect': the padding of axis 1 is wider than the axis; pad twice",
        ),
        (
            "y = MaxPool<kernel_shape=[2, 2], storage_order=1>(x)", "N, 2, 4, 4",
            "MaxPool 'n0': storage_order=1 has no gradient rule; only storage_order=0 has",
        ),
        (
            'y = Conv<auto_pad="SAME_UPPER", strides=[2, 2]>(x, k)', "N, 2, H, 4",
            "Conv 'n0': auto_pad=SAME_UPPER with a stride needs static spatial extents",
        ),
        (
            "y = ConvTranspose<strides=[1, 2], dilations=[2, 2], output_padding=[1, 1]>(x, k)",
            "N, 2, 4, 4",
            "ConvTranspose 'n0': its output goes beyond its windows by a stride or more, which "
            "ONNX Runtime does not run; give a smaller output_padding or output_shape",
        ),
        (
            "y = ConvTranspose<output_shape=[7, 7]>(x, k)", "N, 2, H, 4",
            "ConvTranspose 'n0': output_shape needs static spatial extents of its input",
        ),
        (
            "y = Slice(x, one_i, two_i, one_i, two_i)", "N, D",
            "Slice 'n0': the extent of axis 1 is unknown; fix it by --shape or at export",
        ),
        (
            'widths2 = Add(widths, widths) y = Pad<mode="edge">(x, widths2)', "1, 4",
            "Pad 'n1': its input 'widths2' is computed at run time; it must be a constant",
        ),
        (
            "y = Dropout(x, ratio, training)", "N, 4",
            "Dropout 'n0': training_mode has no gradient rule; export the model in eval mode",
        ),
    ],
)  # fmt: skip
def test_what_a_rule_does_not_cover_is_refused_with_the_reason(
    body: str, shape: str, obstacle: str
) -> None:
    assert _refusal(_graph(body, shape=shape)) == [obstacle]
