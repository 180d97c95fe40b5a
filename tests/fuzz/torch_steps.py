"""Steps of random modules: functions and methods of tensors.

In an expression ``{x}`` is the latest value, ``{s}`` an earlier one of its shape, ``{d}`` an axis
behind the batch, counted from either end, and ``{n}`` that axis' extent.
"""

from __future__ import annotations

from support.operators.graph_builder import Shape

from .torch_builder import TorchBuilder, step


def write(build: TorchBuilder, shape: Shape, *expressions: str) -> None:
    """One of these expressions."""
    text: str = build.one_of(*expressions)
    axis = build.number(1, len(shape))
    text = text.replace("{n}", str(shape[axis - 1]))
    text = text.replace("{d}", str(build.one_of(axis, axis - len(shape) - 1)))
    build.add(text.replace("{s}", build.earlier()) if "{s}" in text else text)


@step()
def activate(build: TorchBuilder, _: str, shape: Shape) -> None:
    """An elementwise function."""
    write(
        build, shape,
        "F.relu({x})", "torch.tanh({x})", "torch.sigmoid({x})", "F.gelu({x})", "F.silu({x})",
        "F.leaky_relu({x}, 0.1)", "F.elu({x}, 0.7)", "F.selu({x})", "F.celu({x}, 0.5)",
        "F.hardswish({x})", "F.hardsigmoid({x})", "F.hardtanh({x}, -0.5, 0.5)", "F.relu6({x})",
        "F.softplus({x}, 2.0)", "F.softsign({x})", "F.mish({x})", "F.logsigmoid({x})",
        "F.softshrink({x}, 0.2)", "F.hardshrink({x}, 0.2)", "F.tanhshrink({x})",
        "F.threshold({x}, 0.1, 0.0)", 'F.gelu({x}, approximate="tanh")', "F.rrelu({x})",
        "{x}.abs()", "{x}.exp()", "{x}.square()", "{x}.sin()", "{x}.neg()", "torch.erf({x})",
        "({x}.abs() + 0.3).sqrt()", "({x}.square() + 0.3).log()", "({x}.square() + 0.5).rsqrt()",
        "torch.log1p({x}.abs())", "torch.expm1({x})", "{x}.pow(3)", "({x}.abs() + 0.2).pow(1.5)",
        "{x}.atan()", "{x} / ({x}.abs() + 1)", "{x}.floor() * {x}", "{x}.sign() * {x}",
        "torch.sinc({x})", "torch.special.xlog1py({x}, {x}.abs())", "torch.logit({x}, 0.1)",
        "torch.special.erfc({x})", "{x}.asinh()", "{x}.nan_to_num()",
    )  # fmt: skip


@step()
def work_in_place(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Something that changes a value where it lies."""
    write(
        build, shape,
        "F.relu({x} * 1, inplace=True)", "({x} + 0).relu_()", "({x} * 2).mul_(0.5).add_(0.1)",
        "({x} * 1).clamp_(-0.5, 0.5)", "F.leaky_relu({x} + 0, 0.2, inplace=True)",
        "({x} * 1).masked_fill_({x} > 0.5, 0.25)", "({x} * 1).add_({s})", "{x}.relu_()",
        "{x}.add_(0.1)", "({x} * 1).sigmoid_()", "({x} * 1).copy_({s})", "{x}.mul_(0.5)",
        "({x} * 1).index_fill_({d}, torch.tensor([0]), 0.5)", "({x} * 1).clamp_min_(0)",
    )  # fmt: skip


@step()
def reduce(build: TorchBuilder, _: str, shape: Shape) -> None:
    """A reduction of one axis."""
    keep = "True" if len(shape) == 1 else build.one_of("True", "False")
    expressions = (
        "{x}.mean({d}, keepdim={k})", "{x}.sum({d}, keepdim={k})", "{x}.amax({d}, keepdim={k})",
        "{x}.max({d}, keepdim={k})[0]", "{x}.min({d}, keepdim={k})[0]",
        "{x}.amin({d}, keepdim={k})", "{x}.std({d}, keepdim={k})",
        "{x}.var({d}, unbiased=False, keepdim={k})", "torch.var_mean({x}, {d}, keepdim={k})[0]",
        "torch.linalg.vector_norm({x}, 2, {d}, keepdim={k})", "{x}.norm(p=1, dim={d}, keepdim={k})",
        "torch.linalg.vector_norm({x}, 3, {d}, keepdim={k})", "{x}.prod({d}, keepdim={k})",
        'torch.linalg.vector_norm({x}, float("inf"), {d}, keepdim={k})',
        "{x}.logsumexp({d}, keepdim={k})", "{x}.median({d}, keepdim={k})[0]",
        "{x}.square().sum({d}, keepdim={k}).sqrt()", "torch.aminmax({x}, dim={d}, keepdim={k})[1]",
    )  # fmt: skip
    write(build, shape, *(one.replace("{k}", keep) for one in expressions))


@step()
def along(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Something along one axis that leaves it in place."""
    write(
        build, shape,
        "F.softmax({x}, {d})", "F.log_softmax({x}, {d})", "F.normalize({x}, dim={d})",
        "{x}.cumsum({d})", "{x}.sort({d})[0]", "{x}.sort({d}, descending=True)[0]",
        "{x}.topk(min(2, {n}), {d})[0]", "{x}.flip({d})", "torch.roll({x}, 1, {d})",
        "{x}.cummax({d})[0]", "{x}.cumprod({d})", "F.softmin({x}, dim={d})", "F.glu({x}, {d})",
        "{x} - {x}.mean({d}, keepdim=True)", "{x} * {x}.softmax({d})", "{x}.diff(dim={d})",
        "torch.logcumsumexp({x}, {d})", "F.normalize({x}, p=1.0, dim={d})",
        "{x} / {x}.abs().amax({d}, keepdim=True).clamp(min=0.1)",
    )  # fmt: skip


@step()
def index(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Part of a value, by slices, indices or masks."""
    write(
        build, shape,
        "{x}[:, 1:]", "{x}[:, ::2]", "{x}[..., :-1]", "{x}[..., -1:]", "{x}.narrow({d}, 0, 1)",
        "{x}.index_select({d}, torch.tensor([{n} - 1, 0]))", "{x}.unfold({d}, 2, 1).flatten(1)",
        "torch.gather({x}, {d}, {x}.argsort({d}))", "{x}.masked_fill({x} > 0.3, 0.25)",
        "torch.take_along_dim({x}, {x}.argmax({d}, keepdim=True), {d})", "{x}[:, [0, -1]]",
        "{x}.chunk(2, {d})[-1]", "{x}.split(1, {d})[0]", "{x}.tensor_split(2, {d})[0]",
        "torch.cat([*{x}.chunk(2, {d})[::-1]], {d})", "{x}.movedim({d}, 1)", "{x}.tril()",
        "torch.where({x} > 0, {x}, 0.1 * {x})", "{x}.unsqueeze({d})", "{x}[:, None]", "{x}.triu()",
        "{x}.repeat_interleave(2, {d})", "torch.stack({x}.unbind({d}), -1)", "{x}.flatten(1)",
        "{x}.unflatten({d}, (1, {n}))", "{x}.reshape({x}.shape[0], -1)", "{x}.transpose(1, -1)",
        "{x}.select({d}, {n} - 1).unsqueeze(1)", "{x}.view({x}.size(0), 1, -1)", "{x}.mT",
        "{x}.scatter({d}, torch.zeros_like({x}, dtype=torch.long), 0.5)",
        "{x}.index_add({d}, torch.tensor([0]), {x}.narrow({d}, 0, 1))",
    )  # fmt: skip


@step()
def limit(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Bounds, and choices between two values."""
    write(
        build, shape,
        "{x}.clamp(-0.5, 0.5)", "{x}.clamp(min=0)", "{x}.clamp(max=0.5)", "{x}.clamp_min(0.1)",
        "torch.maximum({x}, {s})", "torch.minimum({x}, {s} * 0.5)", "torch.fmax({x}, {s} - 0.1)",
        "torch.maximum({x}, torch.zeros_like({x}))", "torch.max({x}, {s} * 2)",
        "torch.clamp({x}, {s} - 0.5, {s} + 0.1)", "torch.where({x} > {s}, {x}, {s} * 0.5)",
        "torch.clamp({x}, torch.tensor(0.0), torch.tensor(1.0))", "torch.hypot({x}, {s} + 0.1)",
        "torch.special.xlogy({x}, {x}.abs() + 0.5)", "torch.atan2({x}, {s}.abs() + 1)",
    )  # fmt: skip


@step()
def combine(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Two values of one shape."""
    write(
        build, shape,
        "{x} + {s}", "{x} * {s}", "{x} - {s}.sigmoid()", "torch.cat([{s}, {x}], {d})",
        "torch.stack([{x}, {s}], 1).mean(1)", "torch.lerp({x}, {s}, 0.3)",
        "torch.addcmul({x}, {s}, {x}, value=0.5)", "{x} / ({s}.abs() + 0.5)",
        "{x} + {s}.mean({d}, keepdim=True)", "{x} * {s}.amax({d}, keepdim=True)",
        "torch.addcdiv({x}, {s}, {s}.square() + 1)", "torch.remainder({x}, 0.7) + {s}",
        "{x} + {x}.roll(1, {d}) * {s}",
    )  # fmt: skip


@step()
def contract(build: TorchBuilder, _: str, shape: Shape) -> None:
    """Products with weights or with itself."""
    last = shape[-1]
    vector = f"nn.Parameter(torch.randn({last}))"
    matrix = f"nn.Parameter(torch.randn({last}, 3) / {last})"
    layer = f"nn.Linear({last}, {build.number(2, 4)}, bias={build.one_of(True, False)})"
    expressions = [f"{build.module(layer)}({{x}})", f"{{x}} @ {build.module(matrix)}"]
    if len(shape) > 1:
        expressions += [
            f"{{x}} @ {build.module(vector)}", "{x} @ {x}.transpose(-1, -2)",
            "torch.einsum('n...ij,n...kj->n...ik', {x}, {s})", "{x}.transpose(-1, -2) @ {s}",
            "torch.matmul({x}.softmax(-1), {s}.transpose(-1, -2))",
        ]  # fmt: skip
    if len(shape) == 2:
        expressions += ["torch.bmm({x}, {s}.mT)", "torch.baddbmm({x} @ {s}.mT, {x}, {s}.mT)"]
    write(build, shape, *expressions)
