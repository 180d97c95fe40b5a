"""Steps of random graphs that the ONNX reference evaluator computes as ONNX Runtime does."""

from __future__ import annotations

import math

from support.operators.graph_builder import Builder, Shape
from support.operators.graph_table import STEPS, step
from support.operators.harness import weights

# The opset that brought a function, where it is not one of the oldest.
SINCE = {"HardSwish": 14, "Mish": 18}


@step(3)
def convolve(build: Builder, x: str, shape: Shape) -> None:
    """Conv with groups, strides, dilations and uneven padding."""
    channels, *space = shape
    group = build.one_of(*(g for g in (1, 2, channels) if channels % g == 0))
    kernel = [build.number(1, 3) for _ in space]
    strides, dilations = ([build.number(1, 2) for _ in space] for _ in range(2))
    pads = [build.number(0, 2) for _ in range(4)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    room = [n + pads[a] + pads[2 + a] - reach[a] for a, n in enumerate(space)]
    if min(room) < 0:
        return
    outer = group * build.number(1, 2)
    w = build.tensor(outer, channels // group, *kernel, fan=channels // group * math.prod(kernel))
    text = f"group={group}, strides={strides}, dilations={dilations}, pads={pads}"
    out = [r // s + 1 for r, s in zip(room, strides, strict=True)]
    build.add(f"Conv<{text}>({x}, {w}, {build.tensor(outer)})", (outer, *out))


@step(3)
def deconvolve(build: Builder, x: str, shape: Shape) -> None:
    """ConvTranspose with a stride, padding and output padding."""
    channels, *space = shape
    stride, kernel, pad = build.number(1, 2), build.number(2, 3), build.number(0, 1)
    beyond = build.number(0, stride - 1)
    out = [stride * (n - 1) + kernel + beyond - 2 * pad for n in space]
    w = build.tensor(channels, 2, kernel, kernel, fan=channels * kernel)
    text = f"strides={[stride] * 2}, pads={[pad] * 4}, output_padding={[beyond] * 2}"
    build.add(f"ConvTranspose<{text}>({x}, {w})", (2, *out))


@step(3)
def pool(build: Builder, x: str, shape: Shape) -> None:
    """MaxPool, AveragePool or LpPool."""
    channels, *space = shape
    kernel = [build.number(1, min(3, n)) for n in space]
    strides = [build.number(1, 3) for _ in space]
    pads = [build.number(0, k // 2) for k in kernel * 2]
    kind = build.one_of("MaxPool<", "AveragePool<count_include_pad=1, ", "AveragePool<", "LpPool<")
    if kind == "MaxPool<":  # with some padding the reference evaluator fails
        pads = [0] * 4
    room = [n + pads[a] + pads[2 + a] - kernel[a] for a, n in enumerate(space)]
    out = [r // s + 1 for r, s in zip(room, strides, strict=True)]
    text = f"{kind}kernel_shape={kernel}, strides={strides}, pads={pads}>"
    build.add(f"{text}({x})", (channels, *out))


@step(3)
def resize(build: Builder, x: str, shape: Shape) -> None:
    """Resize to twice the size."""
    channels, height, width = shape
    mode = build.one_of("nearest", "linear", "cubic")
    if build.opset < 18:
        scales = build.constant([1.0, 1.0, 2.0, 2.0])
        text = f'Resize<mode="{mode}">({x}, {build.no_region()}, {scales})'
    else:
        sizes = build.constant([2 * height, 2 * width])
        text = f'Resize<mode="{mode}", axes=[2, 3]>({x}, , , {sizes})'
    build.add(text, (channels, 2 * height, 2 * width))


@step(3)
def normalise(build: Builder, x: str, shape: Shape) -> None:
    """Instance or batch normalisation."""
    channels = shape[0]
    scale, shift = build.tensor(channels), build.tensor(channels)
    if build.one_of(True, False):
        # A tiny variance would blow float32's rounding up.
        build.add(f"InstanceNormalization<epsilon=0.1>({x}, {scale}, {shift})", shape)
    else:
        variance = build.constant(weights(channels, low=0.5, high=1.5))
        build.add(f"BatchNormalization({x}, {scale}, {shift}, {shift}, {variance})", shape)


@step(3)
def shuffle(build: Builder, x: str, shape: Shape) -> None:
    """Channels to space or back."""
    channels, height, width = shape
    if channels % 4 == 0:
        mode = build.one_of("DCR", "CRD")
        out = (channels // 4, 2 * height, 2 * width)
        build.add(f'DepthToSpace<blocksize=2, mode="{mode}">({x})', out)
    elif height % 2 == 0 and width % 2 == 0:
        build.add(f"SpaceToDepth<blocksize=2>({x})", (4 * channels, height // 2, width // 2))


@step()
def activate(build: Builder, x: str, shape: Shape) -> None:
    """An elementwise function."""
    kinds = (
        "Tanh", "Sigmoid", "Softplus", "Relu", "LeakyRelu", "Elu", "HardSwish", "Erf", "Softsign",
        "Sin", "Cos", "Neg", "Abs", "Selu", "HardSigmoid", "Mish", "ThresholdedRelu",
    )  # fmt: skip
    known = [kind for kind in kinds if build.opset >= SINCE.get(kind, 11)]
    build.add(f"{build.one_of(*known)}({x})", shape)


@step()
def combine(build: Builder, x: str, shape: Shape) -> None:
    """A binary operator with an earlier value, a mean of itself, or a constant that broadcasts."""
    others = [name for name, other in build.values if other == shape]
    kind = build.one_of("earlier", "mean", "constant")
    if kind == "earlier":
        other = build.one_of(*others)
    elif kind == "mean":
        other = build.hidden(build.reduction("Mean", x, [build.axis(shape)]))
    else:
        other = build.tensor(*build.narrow(shape))
    operator = build.one_of("Add", "Sub", "Mul", "Div", "Max", "Min")
    if operator == "Div":
        away = build.hidden(f"Softplus({other})")
        other = build.hidden(f"Add({away}, {build.constant(0.5)})")
    first, second = build.one_of((x, other), (other, x)) if operator != "Div" else (x, other)
    build.add(f"{operator}({first}, {second})", shape)


@step()
def reduce(build: Builder, x: str, shape: Shape) -> None:
    """A reduction over some axes, with or without keepdims."""
    axes = [a for a in range(1, len(shape) + 1) if build.one_of(True, False)] or [len(shape)]
    keep = int(len(axes) == len(shape) or build.one_of(True, False))
    kind = build.one_of("Mean", "Sum", "Max", "Min", "L1", "L2", "LogSumExp", "SumSquare")
    left = [1 if a in axes else n for a, n in enumerate(shape, 1) if keep or a not in axes]
    build.add(build.reduction(kind, x, axes, keep), left)


@step()
def distribute(build: Builder, x: str, shape: Shape) -> None:
    """A softmax, or a layer normalisation of the last axis."""
    kind = build.one_of(*("Softmax", "LogSoftmax", "layer")[: 2 if build.opset < 17 else 3])
    if kind == "layer":
        scale, shift = build.tensor(shape[-1]), build.tensor(shape[-1])
        build.add(f"LayerNormalization<epsilon=0.1>({x}, {scale}, {shift})", shape)
    else:
        build.add(f"{kind}<axis={build.axis(shape)}>({x})", shape)


@step()
def multiply(build: Builder, x: str, shape: Shape) -> None:
    """A matrix product with weights, or with itself transposed."""
    if len(shape) > 1 and build.one_of(True, False):
        order = [*range(len(shape) - 1), len(shape), len(shape) - 1]
        turned = build.hidden(f"Transpose<perm={order}>({x})")
        scale = build.constant(1 / shape[-1])
        product = build.hidden(f"MatMul({x}, {turned})")
        build.add(f"Mul({product}, {scale})", (*shape[:-1], shape[-2]))
    else:
        w = build.tensor(shape[-1], 3, fan=shape[-1])
        build.add(f"MatMul({x}, {w})", (*shape[:-1], 3))


@step(2, 3)
def permute(build: Builder, x: str, shape: Shape) -> None:
    """Axes behind the batch in another order."""
    order = build.one_of(*([2, 1], [1, 2])) if len(shape) == 2 else build.one_of(
        [3, 1, 2], [2, 3, 1], [2, 1, 3], [1, 3, 2], [3, 2, 1]
    )  # fmt: skip
    build.add(f"Transpose<perm={[0, *order]}>({x})", [shape[a - 1] for a in order])


@step()
def reshape(build: Builder, x: str, shape: Shape) -> None:
    """All but the batch flattened, two axes merged, or one taken apart."""
    even = shape[-1] % 2 == 0 and len(shape) < 3
    kind = build.one_of("flat", "merged", "apart" if even else "flat")
    if kind == "flat":
        build.add(f"Flatten({x})", (math.prod(shape),))
    else:
        new = (*shape[:-2], math.prod(shape[-2:]))
        new = (*shape[:-1], 2, shape[-1] // 2) if kind == "apart" else new
        target = build.constant([0, *new[:-1], build.one_of(-1, new[-1])])
        build.add(f"Reshape({x}, {target})", new)


@step()
def take(build: Builder, x: str, shape: Shape) -> None:
    """A slice, forwards or backwards, or rows by constant indices."""
    axis = build.axis(shape)
    extent = shape[axis - 1]
    if build.one_of(True, False):
        start, pace = build.number(-extent, extent - 1), build.one_of(1, 2, -1, -2)
        end = build.one_of(2**31 - 1, extent - 1) if pace > 0 else -(2**31)
        count = len(range(extent)[slice(start, None if end < 0 else end, pace)])
        bounds = ", ".join(build.constant([b]) for b in (start, end, axis, pace))
        text = f"Slice({x}, {bounds})"
    else:
        count = build.number(1, 3)
        rows = [build.number(-extent, extent - 1) for _ in range(count)]
        text = f"Gather<axis={axis}>({x}, {build.constant(rows)})"
    build.add(text, [count if a == axis else n for a, n in enumerate(shape, 1)])


@step()
def join(build: Builder, x: str, shape: Shape) -> None:
    """Two values of one shape, or the parts of one in another order, side by side."""
    axis = build.axis(shape)
    extent = shape[axis - 1]
    if extent > 1 and build.one_of(True, False):
        cut = build.number(1, extent - 1)
        sizes = [cut, extent - cut]
        split = f"axis={axis}, split={sizes}>({x})"
        if build.opset >= 13:
            split = f"axis={axis}>({x}, {build.constant(sizes)})"
        low, high = f"v{len(build.lines)}a", f"v{len(build.lines)}b"
        build.hidden(f"Identity({x})\n{low}, {high} = Split<{split}")
        build.add(f"Concat<axis={axis}>({high}, {low})", shape)
    else:
        other = build.one_of(*(name for name, known in build.values if known == shape))
        out = [2 * n if a == axis else n for a, n in enumerate(shape, 1)]
        build.add(f"Concat<axis={axis}>({other}, {x})", out)


@step()
def pad(build: Builder, x: str, shape: Shape) -> None:
    """Constant values around."""
    low, high = ([build.number(0, 1) for _ in shape] for _ in range(2))
    widths = build.constant([0, *low, 0, *high])
    value = build.constant(build.one_of(0.0, 0.5))
    out = [n + p + q for n, p, q in zip(shape, low, high, strict=True)]
    build.add(f"Pad({x}, {widths}, {value})", out)


@step()
def repeat(build: Builder, x: str, shape: Shape) -> None:
    """Tile, running sums, or a choice between places."""
    kind = build.one_of("Tile", "CumSum", "Where", "Clip")
    if kind == "Tile":
        times = [build.number(1, 2) for _ in shape]
        out = [n * t for n, t in zip(shape, times, strict=True)]
        build.add(f"Tile({x}, {build.constant([1, *times])})", out)
    elif kind == "CumSum":
        build.add(f"CumSum({x}, {build.constant(build.axis(shape))})", shape)
    elif kind == "Where":
        mask = build.constant(weights(*shape) > 0)
        build.add(f"Where({mask}, {x}, {build.tensor(*build.narrow(shape))})", shape)
    else:
        build.add(f"Clip({x}, {build.constant(-0.7)}, {build.constant(0.8)})", shape)


EXACT = [one for one in STEPS if not one.measured]
