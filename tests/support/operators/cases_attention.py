"""Attention: layouts, shared key heads, masks, caps and rotary positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from support.operators.harness import Case, weights

BASIC = {"q": ("N", 2, 3, 4), "k": ("N", 2, 5, 4), "v": ("N", 2, 5, 3)}
SHARED = {"q": ("N", 4, 3, 4), "k": ("N", 2, 5, 4), "v": ("N", 2, 5, 3)}
MERGED = {"q": ("N", 3, 8), "k": ("N", 5, 8), "v": ("N", 5, 6)}
MERGED_SHARED = {"q": ("N", 3, 16), "k": ("N", 5, 8), "v": ("N", 5, 6)}
SEEN = np.array([[1, 0, 1, 1, 0], [1, 1, 0, 0, 1], [0, 0, 1, 0, 0]], bool)
BLIND = SEEN & np.array([[True], [False], [True]])


def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None, *,
    causal: bool = False, scale: float | None = None, cap: float = 0.0,
) -> torch.Tensor:  # fmt: skip
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = torch.tanh(scores / cap) * cap if cap else scores
    if causal:
        late = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(late, -torch.inf)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    # A query that sees nothing gets zeros: its softmax would be NaN.
    blind = (scores == -torch.inf).all(-1, keepdim=True)
    shares = scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
    return shares @ v


def _heads(x: torch.Tensor, count: int) -> torch.Tensor:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def _case(
    name: str, inputs: Any, attributes: str = "", extra: str = "", constants: Any = None,
    heads: tuple[int, int] | None = None, **options: Any,
) -> Case:  # fmt: skip
    """One Attention; ``options`` are those of `_attend`."""

    def twin(**tensors: torch.Tensor) -> torch.Tensor:
        q, k, v = (tensors[one] for one in "qkv")
        if heads:
            q, k, v = _heads(q, heads[0]), _heads(k, heads[1]), _heads(v, heads[1])
        y = _attend(q, k, v, tensors.get("mask"), **options)
        return y.transpose(1, 2).flatten(2) if heads else y

    named = {"mask": lambda q, k, v, mask: twin(q=q, k=k, v=v, mask=mask)}
    counts = f"q_num_heads={heads[0]}, kv_num_heads={heads[1]}" if heads else ""
    given = ", ".join(part for part in (attributes, counts) if part)
    text = f"<{given}>" if given else ""
    return Case(
        f"attention, {name}", f"y = Attention{text}(q, k, v{', mask' if extra else ''})",
        inputs, named.get(extra, lambda q, k, v: twin(q=q, k=k, v=v)), constants or {}, opset=23,
        # `scale` and `softcap` are float32
        loose=1e-7 if text else 1e-10,
    )  # fmt: skip


CASES = [
    _case("plain", BASIC),
    _case("shared key heads", SHARED),
    _case("one key head", {**SHARED, "k": ("N", 1, 5, 4), "v": ("N", 1, 5, 3)}),
    _case("merged heads", MERGED, heads=(2, 2)),
    _case("merged and shared heads", MERGED_SHARED, heads=(4, 2)),
    _case("causal", BASIC, "is_causal=1", causal=True),
    _case("causal, more queries than keys", {**BASIC, "q": ("N", 2, 7, 4)}, "is_causal=1",
          causal=True),
    _case("causal, shared and merged", MERGED_SHARED, "is_causal=1", heads=(4, 2), causal=True),
    _case("scaled", BASIC, "scale=0.25", scale=0.25),
    _case("capped", BASIC, "softcap=0.5", cap=0.5),
    _case("capped and masked", BASIC, "softcap=0.5", "mask", {"mask": SEEN}, cap=0.5),
    _case("a boolean mask", BASIC, "", "mask", {"mask": SEEN}),
    _case("a query that sees nothing", BASIC, "", "mask", {"mask": BLIND}),
    _case("a mask by head", SHARED, "", "mask", {"mask": weights(4, 3, 5)}),
    _case("a mask for all heads of an image", SHARED, "", "mask", {"mask": weights(1, 1, 3, 5)}),
    _case("a mask and causal", SHARED, "is_causal=1", "mask", {"mask": weights(3, 5)},
          causal=True),
    *(
        _case(f"an active mask {list(shape)}", {**inputs, "mask": shape}, "softcap=2.0", "mask",
              cap=2.0)
        for inputs, shape in ((BASIC, (3, 5)), (SHARED, (4, 3, 5)), (SHARED, ("N", 4, 3, 5)),
                              (BASIC, ("N", 1, 3, 5)), (SHARED, (1, 4, 3, 5)))
    ),
    Case("attention of one tensor", "y = Attention(x, x, x)", {"x": ("N", 2, 3, 4)},
         lambda x: _attend(x, x, x), opset=23, open=((0,), (0, 2))),
    Case("attention of one tensor, merged and causal",
         "y = Attention<q_num_heads=2, kv_num_heads=2, is_causal=1>(x, x, x)", {"x": ("N", 3, 8)},
         lambda x: _attend(*[_heads(x, 2)] * 3, causal=True).transpose(1, 2).flatten(2),
         opset=23, open=((0,), (0, 1))),
    Case("attention, values only", "y = Attention(c, c, v)", {"v": (1, 1, 3, 2)},
         lambda v, c: _attend(c, c, v), {"c": weights(1, 1, 3, 4)}, opset=23),
]  # fmt: skip


def _rotated(
    x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, heads: int, width: int, pairs: bool
) -> torch.Tensor:
    """Rotary embedding of [N, heads, length, width] or [N, length, heads * width]."""
    y = _heads(x, heads) if x.dim() == 3 else x
    part, rest = y[..., :width], y[..., width:]
    a, b = (part[..., 0::2], part[..., 1::2]) if pairs else part.chunk(2, -1)
    c, s = cosine[:, None], sine[:, None]
    turned = (c * a - s * b, s * a + c * b)
    joined = torch.stack(turned, -1).flatten(-2) if pairs else torch.cat(turned, -1)
    y = torch.cat([joined, rest], -1)
    return y.transpose(1, 2).flatten(2) if x.dim() == 3 else y


def _rotary(
    name: str, shape: tuple[int | str, ...], width: int, attributes: str = "", heads: int = 0,
    pairs: bool = False, cached: bool = True,
) -> Case:  # fmt: skip
    places = np.array([[2, 0, 1]])
    angles = weights(4, width // 2) if cached else weights(1, 3, width // 2)
    constants = {"c": np.cos(3 * angles), "s": np.sin(3 * angles)}

    def twin(x: torch.Tensor, c: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        c, s = (one[places] if cached else one for one in (c, s))
        return _rotated(x, c, s, heads, width, pairs)

    given = [f"num_heads={heads}"] if heads else []
    given += [attributes] if attributes else []
    text = f"<{', '.join(given)}>" if given else ""
    return Case(
        f"rotary embedding, {name}",
        f"y = RotaryEmbedding{text}(x, c, s{', p' if cached else ''})", {"x": shape}, twin,
        {**constants, **({"p": places} if cached else {})}, opset=23, reference="none",
        remark="ONNX has no double RotaryEmbedding",
    )  # fmt: skip


CASES += [
    _rotary("by head", (1, 2, 3, 4), 4),
    _rotary("by head, interleaved", (1, 2, 3, 4), 4, "interleaved=1", pairs=True),
    _rotary("merged", (1, 3, 8), 4, heads=2),
    _rotary("merged, interleaved", (1, 3, 8), 4, "interleaved=1", 2, True),
    _rotary("a part", (1, 2, 3, 8), 4, "rotary_embedding_dim=4, num_heads=2"),
    _rotary("angles by place", (1, 2, 3, 4), 4, cached=False),
    Case("rotary embedding, open batch",
         "n = Shape<start=0, end=1>(x) l = Concat<axis=0>(n, three) q = Expand(p, l) "
         "y = RotaryEmbedding(x, c, s, q)", {"x": ("N", 2, 3, 4)},
         lambda x, c, s, p: _rotated(x, c[p], s[p], 0, 4, False),
         {"c": np.cos(weights(4, 2)), "s": np.sin(weights(4, 2)), "p": np.array([[2, 0, 3]]),
          "three": [3]}, opset=23, reference="none", remark="ONNX has no double RotaryEmbedding"),
]  # fmt: skip
