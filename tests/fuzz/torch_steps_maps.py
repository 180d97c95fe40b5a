"""Steps of random modules: layers for maps and tokens, with awkward settings."""

from __future__ import annotations

import math

from support.operators.graph_builder import Shape

from .torch_builder import TorchBuilder, step
from .torch_steps import write


def _sizes(build: TorchBuilder, low: int, high: int, rank: int) -> str:
    sizes = tuple(build.number(low, high) for _ in range(rank))
    return str(sizes if rank > 1 else sizes[0])


@step(2, 3, 4)
def convolve(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Convolutions, plain, grouped, transposed, shared by two calls or around a shortcut."""
    channels, *space = shape
    rank = len(space)
    kind = build.one_of("plain", "transposed", "shared", "residual", "padded")
    group = build.one_of(1, channels)
    if kind == "plain":
        text = (
            f"nn.Conv{rank}d({channels}, {2 * group}, {_sizes(build, 1, 3, rank)}, groups={group}"
        )
        text += f", stride={_sizes(build, 1, 2, rank)}, padding={_sizes(build, 0, 1, rank)}"
        build.add(f"{build.module(text + f', dilation={build.number(1, 2)})')}({{x}})")
    elif kind == "transposed":
        text = f"nn.ConvTranspose{rank}d({channels}, 2, {_sizes(build, 2, 3, rank)}, stride=2"
        text += f", padding={build.number(0, 1)}, output_padding={_sizes(build, 0, 1, rank)})"
        build.add(f"{build.module(text)}({{x}})")
    else:
        mode = build.one_of("zeros", "circular", "reflect", "replicate")
        padding = f'padding=1, padding_mode="{mode if kind == "padded" else "zeros"}"'
        layer = build.module(f"nn.Conv{rank}d({channels}, {channels}, 3, {padding})")
        build.add(
            {
                "shared": f"{layer}(F.relu({layer}({{x}})))", "residual": f"{{x}} + {layer}({{x}})",
                "padded": f"{layer}({{x}})",
            }[kind]
        )  # fmt: skip


@step(2, 3, 4)
def pool(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Pools, global and adaptive ones too."""
    rank = len(shape) - 1
    kernel, stride = _sizes(build, 1, 3, rank), _sizes(build, 1, 2, rank)
    ceil, least = build.one_of("False", "True"), build.number(0, 1)
    target = _sizes(build, 1, 3, rank)
    window = f"({{x}}, {kernel}, stride={stride}, ceil_mode={ceil}"
    write(
        build, shape,
        f"F.max_pool{rank}d{window}, padding={least})", f"F.avg_pool{rank}d{window})",
        f"F.avg_pool{rank}d{window}, padding={least}, count_include_pad={bool(least)})",
        f"F.max_pool{rank}d{window}, dilation={build.number(1, 2)})",
        f"F.adaptive_avg_pool{rank}d({{x}}, {target})",
        f"F.adaptive_max_pool{rank}d({{x}}, {target})", f"F.adaptive_max_pool{rank}d({{x}}, 1)",
        f"{{x}} * F.adaptive_avg_pool{rank}d({{x}}, 1).sigmoid()",
        f"F.lp_pool{rank}d({{x}}, {build.number(1, 3)}, 2)",
    )  # fmt: skip


@step(2, 3, 4)
def resize(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Interpolation by factors that give no whole numbers, or to sizes."""
    rank = len(shape) - 1
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[rank]
    mode = build.one_of("nearest", *smooth, "area", "nearest-exact")
    if build.one_of(True, False):
        how = f"scale_factor={build.one_of(2.0, 1.5, 0.6, 1.4, 0.5, 3.0)}"
        how += build.one_of("", ", recompute_scale_factor=True")
    else:
        how = f"size={_sizes(build, 1, 5, rank)}"
    if mode in smooth:
        how += f", align_corners={build.one_of(False, True)}"
        how += build.one_of("", ", antialias=True") if rank == 2 else ""
    build.add(f'F.interpolate({{x}}, {how}, mode="{mode}")')


@step(2, 3, 4)
def surround(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Padding of each mode, also by negative widths."""
    mode = build.one_of("constant", "reflect", "replicate", "circular")
    low = -1 if mode == "constant" else 0
    widths = [build.number(low, 1) for _ in range(2 * (len(shape) - 1))]
    more = f", value={build.one_of(0.0, 0.5)}" if mode == "constant" else ""
    build.add(f'F.pad({{x}}, {widths}, mode="{mode}"{more})')


@step(2, 3, 4)
def normalise(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Normalisation layers."""
    channels, rank = shape[0], len(shape) - 1
    groups = build.one_of(*(n for n in (1, 2, channels) if channels % n == 0))
    layer = build.one_of(
        f"nn.BatchNorm{rank}d({channels})", f"nn.GroupNorm({groups}, {channels}, eps=0.1)",
        f"nn.InstanceNorm{rank}d({channels}, eps=0.1, affine={build.one_of(True, False)})",
        f"nn.LayerNorm({shape[-1]}, eps=0.1)", f"nn.LayerNorm({list(shape)}, eps=0.1)",
        f"nn.LocalResponseNorm({build.number(1, 3)}, alpha=0.5)", f"nn.RMSNorm({shape[-1]})",
    )  # fmt: skip
    build.add(f"{build.module(layer)}({{x}})")


@step(3)
def rearrange(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Layers that move places of maps, or sample them."""
    channels = shape[0]
    theta = "torch.tensor([[[0.8, 0.2, 0.1], [-0.1, 0.9, 0.0]]])"
    size = "{x}.shape, align_corners=False"
    grid = f"F.affine_grid({theta}.to({{x}}).expand({{x}}.shape[0], 2, 3), {size})"
    write(
        build, shape,
        "F.pixel_unshuffle({x}, 2)", "F.pixel_shuffle({x}, 2)", "F.unfold({x}, 2)",
        f"F.channel_shuffle({{x}}, {2 if channels % 2 == 0 else 1})", "{x}.flatten(2).mT",
        "F.softmax({x}.flatten(2), -1).view_as({x})", "F.unfold({x}, 2, padding=1, stride=2)",
        "F.fold(F.unfold({x}, 2, padding=1), {x}.shape[2:], 2, padding=1)",
        f'F.grid_sample({{x}}, {grid}, padding_mode="{build.one_of("zeros", "border")}")',
        "{x}.permute(0, 2, 3, 1)", "F.dropout2d({x}, training=False)", "{x}.rot90(1, (2, 3))",
    )  # fmt: skip


@step(2)
def attend(build: TorchBuilder, x: str, shape: Shape) -> None:
    """Attention over tokens, and whole blocks of it."""
    width = shape[-1]
    heads = build.one_of(*(n for n in (1, 2) if width % n == 0))
    kind = build.one_of("function", "causal", "module", "encoder", "gru", "lstm")
    if kind in ("function", "causal"):
        query = build.module(f"nn.Linear({width}, {width})")
        causal = ", is_causal=True" if kind == "causal" else ""
        build.add(f"F.scaled_dot_product_attention({query}({{x}}), {{x}}, {{x}}{causal})")
    elif kind == "module":
        layer = build.module(f"nn.MultiheadAttention({width}, {heads}, batch_first=True)")
        build.add(f"{layer}({{x}}, {{x}}, {{x}}, need_weights={build.one_of(False, True)})[0]")
    elif kind == "encoder":
        text = f"nn.TransformerEncoderLayer({width}, {heads}, 8, batch_first=True"
        first = build.one_of("", ", norm_first=True", ', activation="gelu"')
        build.add(f"{build.module(f'{text}{first})')}({{x}})")
    else:
        text = f"nn.{kind.upper()}({width}, 3, batch_first=True"
        both = build.one_of("", ", bidirectional=True")
        build.add(f"{build.module(f'{text}{both})')}({{x}})[0]")


@step(1, 2, 3)
def rescale(build: TorchBuilder, x: str, shape: Shape) -> None:
    """A gate or a bias with parameters of its own."""
    parameter = build.module(f"nn.Parameter(torch.randn({[shape[0], *[1] * (len(shape) - 1)]}))")
    prelu = build.module(f"nn.PReLU({build.one_of(1, shape[0])})")
    fitting = [name for name, other in build.behind if math.prod(other) == math.prod(shape)]
    write(
        build, shape,
        f"{{x}} * {parameter}", f"{{x}} + {parameter}", f"{prelu}({{x}})",
        f"{{x}} * torch.sigmoid({parameter})", f"{{x}} + {build.one_of(*fitting)}.view_as({{x}})",
    )  # fmt: skip
