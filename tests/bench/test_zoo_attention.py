"""The comparison of attention with autograd: what it records, a model, and the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.legrad import with_table as with_legrad
from benchmarks.zoo_attention_case import run_case
from benchmarks.zoo_attention_report import with_table
from benchmarks.zoo_attention_truth import attention_of, nearest
from benchmarks.zoo_models import Case


class Two(nn.Module):
    """A fused attention with a mask and grouped heads, and one by a module of PyTorch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mask = nn.Buffer(torch.rand(5, 5) > 0.3)
        self.mask.fill_diagonal_(True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = x.unflatten(2, (4, 2)).transpose(1, 2)
        k = v = q[:, :2]
        y = nn.functional.scaled_dot_product_attention(q, k, v, self.mask, enable_gqa=True)
        x = x + y.transpose(1, 2).flatten(2)
        return self.head((x + self.whole(x, x, x, need_weights=False)[0]).mean(1))


def test_every_softmax_is_recorded_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Two().double().eval()
    x = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    plain, classes = model(x), np.array([[0, 2], [1, 1]])
    results: list[torch.Tensor] = []

    def keep(table: torch.Tensor) -> torch.Tensor:
        results.append(table)
        return table

    fused, whole = attention_of(model, x, classes, keep)
    torch.testing.assert_close(results[0], plain)
    assert (fused.shape, whole.shape) == ((2, 4, 5, 5), (2, 2, 5, 5))
    assert fused.gradients.shape == (2, 2, 100)
    np.testing.assert_allclose(fused.weights.reshape(-1, 5).sum(1), 1)
    # The last attention by hand: d score / d weights of head h = slope of the result times values.
    inner = x + nn.functional.scaled_dot_product_attention(
        *(one.unflatten(2, (-1, 2)).transpose(1, 2) for one in (x, x[..., :4], x[..., :4])),
        model.mask, enable_gqa=True,
    ).transpose(1, 2).flatten(2)  # fmt: skip
    module = model.whole
    values = inner @ module.in_proj_weight[16:].T + module.in_proj_bias[16:]
    slope = (model.head.weight[2] @ module.out_proj.weight / 5).unflatten(0, (2, 4))
    by_hand = torch.einsum("hc,khc->hk", slope, values[0].unflatten(1, (2, 4)))
    found = whole.gradients[0, 1].reshape(2, 5, 5)
    np.testing.assert_allclose(found, by_hand.detach()[:, None].expand(2, 5, 5), atol=1e-12)
    assert nearest(whole.weights.reshape(2, 2, 5, 5), [fused, whole]) == 1


class Gated(nn.Module):
    """Weights that are a mixture of two softmaxes, as ConViT's are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        content = (x @ x.transpose(-2, -1)).softmax(dim=-1)
        place = torch.softmax(x @ x.flip(-2).transpose(-2, -1), dim=-1)
        mixed = 0.25 * content + 0.75 * place
        return (nn.functional.dropout(mixed, 0.5, training=False) @ x).sum((1, 2))


def test_a_mixture_of_softmaxes_is_recorded_once() -> None:
    x = torch.rand(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    found = attention_of(Gated().eval(), x, np.array([[1], [2]]), lambda table: table)
    content, place, mixed = found
    assert mixed.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(mixed.weights, 0.25 * content.weights + 0.75 * place.weights)
    # d (sum over heads and queries of weights times values) / d weights: the key's value.
    values = x.detach().numpy()[0, :, :, 1]
    slopes = np.broadcast_to(values[:, None, :], (3, 5, 5)).ravel()
    np.testing.assert_allclose(mixed.gradients[0, 0], slopes, atol=1e-12)
    np.testing.assert_allclose(content.gradients[0, 0], 0.25 * slopes, atol=1e-12)


def test_a_model_passes() -> None:
    pytest.importorskip("transformers")
    record = run_case(Case("transformers", "SiglipVisionModel", (96, 96)))
    assert record["verdict"] == "pass", record["faults"]
    assert record["roles"] == {"chain": 3, "pool": 1}
    assert record["softmaxes"] == record["blocks"] == 4
    assert record["gradients"]["error"] < 1e-5
    assert record["methods"] == ["attention", "rollout", "gradient-rollout", "legrad"]


def test_the_tables() -> None:
    worst = {"error": 3e-7, "own": 2e-7}
    good = {"model": "vit", "size": [64, 96], "blocks": 2, "softmaxes": 3, "roles": {"chain": 2},
            "weights": worst, "gradients": worst, "methods": ["legrad"], "verdict": "pass",
            "faults": []}  # fmt: skip
    none = {"model": "resnet", "size": [64, 96], "verdict": "none", "faults": []}
    apart = {**good, "model": "swin", "roles": {"apart": 2}, "methods": [], "softmaxes": 2}
    bad = {"model": "odd", "size": [8, 8], "verdict": "refused", "faults": ["no\nlayer"]}
    page = "a\n<!-- attention -->\nold<!-- end of attention -->\nb"
    text = with_table(page, [good, none, bad, apart], 5)
    assert "Of 3 models with attention: 2 pass, 1 refused; 1 more have none; 1 models have" in text
    assert "| none | each block is of windows, of a few places or of channels |" in text
    row = "| `vit` | 64x96 | 2 chain | 3e-07 (2e-07) | 3e-07 (2e-07) | legrad | 1 softmaxes are no"
    assert row in text
    assert "refused: no layer" in text
    assert "old" not in text
    legrad = {"model": "CLIP", "difference": 7.7e-7, "correlation": 1.0}
    page = with_legrad("<!-- legrad -->\n<!-- end of legrad -->\n", [legrad])
    assert "| CLIP | 8e-07 | 1.000000 |" in page
