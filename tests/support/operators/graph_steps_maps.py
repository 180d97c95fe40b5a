"""Steps that slide windows, resize and normalise; ONNX Runtime says what comes out of them."""

from __future__ import annotations

from support.operators.graph_builder import Builder, Shape
from support.operators.graph_table import step
from support.operators.harness import weights

_SCALES = (2.0, 0.5, 1.0, 1.5, 0.6, 1.4, 3.0, 0.7)


def _around(build: Builder, space: list[int], most: int = 2) -> str:
    """Padding: as numbers, or left to the runtime."""
    auto = build.one_of("", "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto:
        return f'auto_pad="{auto}"'
    return f"pads={[build.number(0, most) for _ in range(2 * len(space))]}"


def _steps(build: Builder, space: list[int], most: int = 3) -> list[int]:
    return [build.number(1, most) for _ in space]


@step(2, 3, 4, measured=True)
def convolve_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """Conv over one to three axes, with every kind of padding."""
    channels, *space = shape
    group = build.one_of(*(g for g in (1, channels) if channels % g == 0))
    kernel = [build.number(1, min(3, n)) for n in space]
    text = f"{_around(build, space)}, group={group}, kernel_shape={kernel}"
    text += f", strides={_steps(build, space, 2)}"
    if "SAME" not in text or build.one_of(True, False):
        text += f", dilations={_steps(build, space, 2)}"
    outer = group * build.number(1, 2)
    w = build.tensor(outer, channels // group, *kernel, fan=channels)
    bias = build.one_of("", f", {build.tensor(outer)}")
    build.add(f"Conv<{text}>({x}, {w}{bias})")


@step(2, 3, 4, measured=True)
def deconvolve_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """ConvTranspose over one to three axes, also to a given size."""
    channels, *space = shape
    group = build.one_of(*(g for g in (1, channels) if channels % g == 0))
    kernel = [build.number(1, 3) for _ in space]
    strides = _steps(build, space, 2)
    text = f"{_around(build, space, 1)}, group={group}, strides={strides}"
    if build.one_of(False, True):
        beyond = [build.number(0, 1) for _ in space]
        sizes = [n * s + b for n, s, b in zip(space, strides, beyond, strict=True)]
        text += f", output_shape={sizes}"
    elif build.one_of(False, True):
        text += f", dilations={_steps(build, space, 2)}"
    else:
        text += f", output_padding={[build.number(0, s - 1) for s in strides]}"
    w = build.tensor(channels, build.number(1, 2), *kernel, fan=channels)
    build.add(f"ConvTranspose<{text}>({x}, {w})")


@step(2, 3, 4, measured=True)
def pool_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """Pools over one to three axes, with every kind of padding, ``ceil_mode`` and dilations."""
    space = list(shape[1:])
    kind = build.one_of("MaxPool", "AveragePool", "LpPool")
    kernel = [build.number(1, min(3, n)) for n in space]
    text = f"{_around(build, space, 1)}, kernel_shape={kernel}, strides={_steps(build, space)}"
    newest = {"MaxPool": 11, "AveragePool": 19, "LpPool": 18}[kind]
    if build.opset >= newest and build.one_of(False, True):
        text += f", dilations={_steps(build, space, 2)}"
    if (kind != "LpPool" or build.opset >= 18) and build.one_of(False, True):
        text += ", ceil_mode=1"
    if kind == "AveragePool":
        text += f", count_include_pad={build.number(0, 1)}"
    if kind == "LpPool":
        text += f", p={build.number(1, 3)}"
    build.add(f"{kind}<{text}>({x})")


@step(2, 3, 4, measured=True)
def pool_globally(build: Builder, x: str, shape: Shape) -> None:
    """A global pool, alone or as a gate on what it pools."""
    kind = build.one_of("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
    text = f"{kind}<p={build.number(1, 3)}>({x})" if kind == "GlobalLpPool" else f"{kind}({x})"
    if build.one_of(False, True):
        build.add(text)
    else:
        build.add(f"Mul({x}, {build.hidden(text)})")


@step(2, 3, 4, measured=True)
def resize_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """Resize with every mode, to fractional scales or to sizes."""
    space = shape[1:]
    modes = ("nearest", "linear", "cubic") if len(space) == 2 else ("nearest", "linear")
    mode = build.one_of(*modes)
    wheres = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    wheres += ["tf_crop_and_resize", *["half_pixel_symmetric"][: build.opset >= 19]]
    where = build.one_of(*wheres)
    text = f'mode="{mode}", coordinate_transformation_mode="{where}"'
    if mode == "nearest":
        rounding = ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
        text += f', nearest_mode="{build.one_of(*rounding)}"'
    if mode == "cubic":
        text += f", exclude_outside={build.number(0, 1)}"
        text += f", cubic_coeff_a={build.one_of(-0.75, -0.5)}"
    region = build.no_region()
    if where == "tf_crop_and_resize":
        low = [build.one_of(0.0, 0.1, 0.2) for _ in space]
        high = [build.one_of(1.0, 0.8, 0.9) for _ in space]
        region = build.constant([0.0, 0.0, *low, 1.0, 1.0, *high])
        text += f", extrapolation_value={build.one_of(0.0, 0.5)}"
    if build.opset >= 18 and mode != "nearest" and build.one_of(False, True):
        text += ", antialias=1"
    scales = [build.one_of(*_SCALES) for _ in space]
    if build.opset >= 18 and not region and build.one_of(False, True):
        sizes = [max(1, round(n * scale)) for n, scale in zip(space, scales, strict=True)]
        axes = list(range(2, 2 + len(space)))
        build.add(f"Resize<{text}, axes={axes}>({x}, , , {build.constant(sizes)})")
    else:
        build.add(f"Resize<{text}>({x}, {region}, {build.constant([1.0, 1.0, *scales])})")


@step(2, 3, 4, measured=True)
def normalise_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """Normalisations over groups, neighbouring channels, axes, or by a norm."""
    channels, rank = shape[0], len(shape) + 1
    kinds = ["LRN", "LpNormalization", "MeanVarianceNormalization", "InstanceNormalization"]
    kinds += ["BatchNormalization", *["GroupNormalization"][: build.opset >= 18]]
    kind = build.one_of(*kinds)
    scale, shift = build.tensor(channels), build.tensor(channels)
    if kind == "LRN":
        sizes = f"size={build.number(1, 3)}, alpha={build.one_of(0.5, 0.1)}"
        build.add(f"LRN<{sizes}, beta=0.75, bias=1.0>({x})")
    elif kind == "LpNormalization":
        axis = build.signed(build.axis(shape), shape)
        build.add(f"LpNormalization<axis={axis}, p={build.number(1, 2)}>({x})")
    elif kind == "MeanVarianceNormalization":
        axes = build.one_of(list(range(2, rank)), [1], list(range(1, rank)))
        build.add(f"MeanVarianceNormalization<axes={axes}>({x})")
    elif kind == "InstanceNormalization":
        build.add(f"InstanceNormalization<epsilon=0.1>({x}, {scale}, {shift})")
    elif kind == "BatchNormalization":
        spread = build.constant(weights(channels, low=0.5, high=1.5))
        build.add(f"BatchNormalization({x}, {scale}, {shift}, {shift}, {spread})")
    else:
        groups = build.one_of(*(g for g in (1, 2, channels) if channels % g == 0))
        many = channels if build.opset >= 21 else groups
        pair = f"{build.tensor(many)}, {build.tensor(many)}"
        build.add(f"GroupNormalization<epsilon=0.1, num_groups={groups}>({x}, {pair})")
