"""One operator, or a few, as data: what it computes, and every way to differentiate it.

A `Case` is a small ONNX graph from inputs to ``y``. `Model` builds it for a type and a batch size;
`vjp` runs graftcam's rules; `finite_differences`, `torch_vjp` and `onnx_ad_vjp` are the truths
they are compared with. Cotangents have the shape ``[K, *y]``, results ``[K, *input]``.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime
import torch
from onnx import helper, numpy_helper

from graftcam.exporter.differentiate.backward import differentiate
from graftcam.exporter.differentiate.cotangent import Cotangent
from graftcam.exporter.differentiate.plan import plan
from graftcam.exporter.graph.emitter import Emitter, dims_of
from graftcam.exporter.graph.profiles import PROFILES, ProfileName
from support.operators.corrected import reference
from support.sessions import open_session

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Shape: TypeAlias = tuple[int | str, ...]

# Variants of a case with open axes: the batch; one or both spatial axes with it.
BATCH = ((0,),)
SPACE = ((0,), (0, 2), (0, 2, 3))

NAMES = {np.float16: "float16", np.float32: "float", np.float64: "double"}

# float32 rounds to 6e-8; some hundred products are summed, and some values are near 10.
FLOAT32 = 2e-5
# Central differences with a step of 1e-6 on float64: the truncation is about 1e-12, the rounding of
# the outputs (1e-16 each) comes to about 1e-10 when divided by the step.
DIFFERENCES = 1e-7
# Two float64 computations of the same formula; attributes are float32 in ONNX (`loose` cases).
FLOAT64 = 1e-10


def values(name: str, shape: Sequence[int], low: float, high: float) -> Array:
    """Numbers in a random order, evenly spaced between the bounds but for a jitter.

    Even spacing keeps all of them apart, so that no two tie, and keeps them off round numbers such
    as 0, where functions have kinks.
    """
    rng = np.random.default_rng(zlib.crc32(f"{name}{tuple(shape)}".encode()))
    count = int(np.prod(shape))
    place = rng.permutation(count) + 0.5 + rng.uniform(0.05, 0.25, count)
    return (low + (high - low) * place / max(count, 1)).reshape(shape)


def weights(*shape: int, low: float = -1.0, high: float = 1.0) -> Array:
    """A constant float tensor."""
    return values("weights", shape, low, high)


@dataclass(frozen=True, eq=False)
class Case:
    """An operator with everything that decides its gradient.

    Attributes:
        name: What is special about it.
        body: ONNX nodes in textual form, from the inputs to ``y``; FLOAT is the model's type.
        inputs: Shapes of the differentiated inputs, "N" for the batch, or their values.
        twin: The same function in PyTorch; see `_called`.
        constants: Other tensors by name; floats take the model's type.
        span: Bounds of the inputs' values.
        opset: Version of the ONNX operators.
        open: Variants with open extents: the axes of every input (that has a batch) that are.
        kink: The inputs lie where the function has no derivative: no finite differences.
        expected: The gradient of the sum of ``y`` by input, as exact numbers.
        float32: Tolerance for float32, with a reason beside the case where it is not the usual one.
        loose: Tolerance for float64 against PyTorch; float32 attributes cost about 1e-7.
        metadata: ``metadata_props`` of the nodes.
        reference: What the ONNX reference evaluator gets right in float64: the operator and its
            adjoint, the operator only, or nothing; "runtime": nothing, but ONNX Runtime computes
            in float64 and stands in for it; "linear": nothing, but the operator is linear, so that
            ONNX Runtime in float32 shows its slopes by any step.
        remark: Why not all.
    """

    name: str
    body: str
    inputs: Mapping[str, Shape | Array]
    twin: Callable[..., Any] | None = None
    constants: Mapping[str, Array | Sequence[int] | float] = field(default_factory=dict)
    span: tuple[float, float] = (-2.0, 2.0)
    opset: int = 18
    open: tuple[tuple[int, ...], ...] = BATCH
    kink: bool = False
    expected: Mapping[str, Sequence[Any]] | None = None
    float32: float = FLOAT32
    loose: float = FLOAT64
    metadata: Mapping[str, str] = field(default_factory=dict)
    reference: Literal["all", "forward", "none", "runtime", "linear"] = "all"
    remark: str = ""

    @cached_property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """The nodes of the body."""
        return onnx.parser.parse_graph(
            f"case () => () {{ {self.body.replace('FLOAT', '1')} }}"
        ).node

    @property
    def operators(self) -> set[str]:
        """The operators of the body."""
        return {node.op_type for node in self.nodes}

    @property
    def batched(self) -> bool:
        """Whether the case has a batch axis at all."""
        return any("N" in shape for shape in self.inputs.values() if isinstance(shape, tuple))

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes to run it with."""
        return (1, 3) if self.batched else (1,)

    def shape(self, name: str, batch: int) -> tuple[int, ...]:
        """Shape of an input."""
        given = self.inputs[name]
        if not isinstance(given, tuple):
            return np.asarray(given).shape
        return tuple(batch if extent == "N" else int(extent) for extent in given)

    def feeds(self, batch: int) -> Arrays:
        """Values of the inputs, float64 numbers that float32 represents exactly."""
        found: Arrays = {}
        for name, given in self.inputs.items():
            if isinstance(given, tuple):
                given = values(name + self.name, self.shape(name, batch), *self.span)
            found[name] = np.asarray(given, np.float32).astype(np.float64)
        return found

    def fixed(self, dtype: type = np.float64) -> Arrays:
        """The constants."""
        arrays: Arrays = {}
        for name, given in self.constants.items():
            array = np.asarray(given)
            if array.dtype.kind == "f":
                array = array.astype(np.float32).astype(dtype)
            arrays[name] = array
        return arrays


class Model:
    """A case as an ONNX model of type ``dtype``, with the axes ``open`` of its inputs symbolic."""

    def __init__(self, case: Case, dtype: type, batch: int, open: tuple[int, ...] = ()) -> None:
        self.case, self.dtype = case, dtype
        heads: list[str] = []
        for name in case.inputs:
            symbolic = open if "N" in case.inputs[name] else ()
            extents = enumerate(case.shape(name, batch))
            dims = [f"D{axis}" if axis in symbolic else extent for axis, extent in extents]
            brackets = f"[{', '.join(map(str, dims))}]" if dims else ""  # "float x" is a scalar
            heads.append(f"{NAMES[dtype]}{brackets} {name}")
        body = case.body.replace("FLOAT", str(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
        text = f"""<ir_version: 9, opset_import: ["" : {case.opset}]>
        case ({", ".join(heads)}) => ({NAMES[dtype]} y) {{ {body} }}"""
        proto = onnx.parser.parse_model(text)
        proto.graph.output[0].type.tensor_type.ClearField("shape")
        for name, array in case.fixed(dtype).items():
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
        for number, node in enumerate(proto.graph.node):
            node.name = f"node_{number}"
            for key, value in case.metadata.items():
                node.metadata_props.add(key=key, value=value)
        self.proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        y = self.proto.graph.output[0].type.tensor_type
        if not y.HasField("shape"):  # it knows no GroupNormalization, which keeps the shape
            y.shape.CopyFrom(self.proto.graph.input[0].type.tensor_type.shape)


@dataclass
class Graft:
    """A model that also computes the cotangents of its inputs, and what was added to it."""

    proto: onnx.ModelProto
    emitted: set[str]


def graft(
    model: Model,
    spread: frozenset[int] = frozenset(),
    *,
    selected: bool = False,
    profile: ProfileName = "default",
) -> Graft:
    """A case's model with the adjoints of all inputs."""
    return with_adjoints(model.proto, spread, selected=selected, profile=profile)


def with_adjoints(
    proto: onnx.ModelProto,
    spread: frozenset[int] = frozenset(),
    *,
    selected: bool = False,
    profile: ProfileName = "default",
) -> Graft:
    """Add the adjoints of all inputs.

    The graph gets an input ``seed`` [K, *y], with extent 1 along ``spread`` (or, for ``selected``,
    int64 [K, N]: the class of each image), and an output ``grad_<input>`` [K, *input] an input.
    """
    built = ir.from_proto(proto)
    graph = built.graph
    y = graph.outputs[0]
    targets = list(graph.inputs)
    emit = Emitter(graph, PROFILES[profile])
    dims = [1 if axis in spread else extent for axis, extent in enumerate(dims_of(y))]
    kind = ir.DataType.INT64 if selected else y.dtype
    assert kind is not None
    shape = ["K", dims[0]] if selected else ["K", *dims]
    seed = ir.Value(name="seed", type=ir.TensorType(kind), shape=ir.Shape(shape))
    graph.inputs.append(seed)
    emit.classes_dim = emit.vector([(seed, 0)])
    own = set(graph)
    made = plan(graph, y, targets)
    start = (
        Cotangent(emit, y, None, one_hot=seed)
        if selected
        else Cotangent(emit, y, seed, 1.0, spread)
    )
    cotangents = differentiate(emit, made, start)
    for target in targets:
        whole = cotangents[target].dense()
        assert whole.dtype == target.dtype, f"the adjoint of a {target.dtype} is {whole.dtype}"
        result = ir.Value(name=f"grad_{target.name}", type=whole.type)
        graph.append(ir.Node("", "Identity", [whole], outputs=[result]))
        graph.outputs.append(result)
    return Graft(ir.to_proto(built), {node.name or "" for node in graph if node not in own})


def idle_nodes(made: Graft) -> list[str]:
    """Emitted nodes that lead to no output; ONNX Runtime would run them for nothing."""
    needed = {value.name for value in made.proto.graph.output}
    idle: list[str] = []
    for node in reversed(made.proto.graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            for inner in (n for a in node.attribute if a.HasField("g") for n in a.g.node):
                needed.update(inner.input)
        elif node.name in made.emitted:
            idle.append(f"{node.op_type} {node.name}")
    return idle


def session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU, on one thread."""
    return open_session(proto.SerializeToString())


def run_ort(made: onnxruntime.InferenceSession, feeds: Arrays) -> Arrays:
    """Outputs by name; floats are fed in the model's types."""
    kinds = {
        "tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64,
        "tensor(int64)": np.int64,
    }  # fmt: skip
    fed = {one.name: feeds[one.name].astype(kinds[one.type]) for one in made.get_inputs()}
    names = [one.name for one in made.get_outputs()]
    return dict(zip(names, made.run(names, fed), strict=True))


def run_reference(proto: onnx.ModelProto, feeds: Arrays) -> Arrays:
    """Outputs by name, from the ONNX reference evaluator."""
    made = reference(proto)
    with np.errstate(all="ignore"):  # at kinks, on sides that a Where does not take
        return dict(zip(made.output_names, made.run(None, feeds), strict=True))


@cache
def output_shape(case: Case, batch: int) -> tuple[int, ...]:
    """Shape of ``y`` in ONNX Runtime."""
    made = session(Model(case, np.float32, batch).proto)
    return run_ort(made, case.feeds(batch))["y"].shape


def seeds(classes: int, shape: Sequence[int]) -> Array:
    """Random cotangents [K, *shape] that float32 represents exactly."""
    rng = np.random.default_rng(classes)
    return rng.standard_normal((classes, *shape)).astype(np.float32).astype(np.float64)


@cache
def jacobian(case: Case, batch: int, step: float = 1e-6) -> Arrays:
    """Central differences in float64, [*y, elements of x]; see `Case.reference`."""
    linear = case.reference == "linear"
    dtype, step = (np.float32, 1.0) if linear else (np.float64, step)
    made = session if linear or case.reference == "runtime" else reference
    evaluator = made(Model(case, dtype, batch).proto)
    feeds = case.feeds(batch)
    found: Arrays = {}
    for name, x in feeds.items():
        columns: list[Array] = []
        for place in range(x.size):
            around: list[Array] = []
            for sign in (1.0, -1.0):
                moved = x.copy()
                moved.flat[place] += sign * step
                fed = {key: x.astype(dtype) for key, x in {**feeds, name: moved}.items()}
                around.append(np.asarray(evaluator.run(None, fed)[0]))
            assert around[0].dtype == dtype
            above, below = (one.astype(np.float64) for one in around)
            columns.append((above - below) / (2 * step))
        found[name] = np.stack(columns, axis=-1)
    return found


def finite_differences(case: Case, batch: int, seed: Array) -> Arrays:
    """The cotangents of the inputs, from `jacobian`."""
    return {
        name: np.tensordot(seed, slopes, axes=slopes.ndim - 1).reshape(
            len(seed), *case.shape(name, batch)
        )
        for name, slopes in jacobian(case, batch).items()
    }


def _called(case: Case, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The twin of a case; it takes tensors by name or, as PyTorch's own functions, the inputs.

    Parameters with a default are no tensors: they bind what a loop around the case varies.
    """
    twin = case.twin
    assert twin is not None
    try:
        needed = inspect.signature(twin).parameters.values()
        names = [one.name for one in needed if one.default is one.empty]
    except ValueError:  # builtin
        names = []
    if not names or not set(names) <= tensors.keys():
        names = list(case.inputs)
    return twin(*(tensors[name] for name in names))


def torch_vjp(case: Case, batch: int, seed: Array) -> tuple[Array, Arrays]:
    """``y`` and the cotangents of the inputs, from PyTorch's autograd in float64."""
    inputs = {k: torch.tensor(v, requires_grad=True) for k, v in case.feeds(batch).items()}
    given = {**{k: torch.tensor(v) for k, v in case.fixed().items()}, **inputs}
    y = _called(case, given)
    rows: dict[str, list[Array]] = {name: [] for name in inputs}
    for one in seed:
        slopes = torch.autograd.grad(
            y, list(inputs.values()), torch.tensor(one), retain_graph=True, allow_unused=True
        )
        for (name, x), slope in zip(inputs.items(), slopes, strict=True):
            rows[name].append(np.zeros(x.shape) if slope is None else slope.numpy())
    gradients = {
        name: np.asarray(row).reshape(len(seed), *inputs[name].shape) for name, row in rows.items()
    }
    return y.detach().numpy(), gradients


def error(got: Array, truth: Array) -> float:
    """Largest deviation, relative to the largest number (or 1, if that is smaller)."""
    assert got.shape == truth.shape, f"shape {got.shape}, not {truth.shape}"
    if got.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        deviation = np.where(got == truth, 0.0, np.abs(got - truth))
    deviation = np.where(np.isnan(got) & np.isnan(truth), 0.0, deviation)
    finite = truth[np.isfinite(truth)]
    worst = deviation.max() / max(1.0, np.abs(finite).max(initial=0.0))
    return float("inf") if np.isnan(worst) else float(worst)


def assert_close(got: Arrays, truth: Arrays, tolerance: float, what: str) -> None:
    """All gradients agree."""
    assert got.keys() == truth.keys()
    for name, expected in truth.items():
        off = error(got[name], expected)
        assert off <= tolerance, (
            f"{what}: d/d{name} is off by {off:.2e} (allowed: {tolerance:.0e})\n"
            f"got\n{got[name]}\nexpected\n{expected}"
        )
