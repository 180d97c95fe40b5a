"""Attention as models write it: turned weights, heads joined with the batch, and of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graftcam.exporter import LayerError, export
from graftcam.exporter.release import verify_artifact
from graftcam.runtime import Explainer
from graftcam.runtime.session.session import Session
from support.images import noise
from support.nets import seeded
from support.small_vit import Attention, SmallVit


class Turned(Attention):
    """Values with tokens last, on the left of turned weights (LeViT's convolutions)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).permute(0, 2, 3, 1)
            for part in (self.q(x), self.k(x), self.v(x))
        )
        weights = self.softmax(q.transpose(2, 3) @ k / q.shape[2] ** 0.5)
        return self.out((v @ weights.transpose(2, 3)).permute(0, 3, 1, 2).flatten(2))


class Joined(Attention):
    """Heads joined with the batch, and an axis of 1 in between (SAM's)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2).flatten(0, 1).unsqueeze(1)
            for part in (self.q(x), self.k(x), self.v(x))
        )
        weights = self.softmax(q @ k.transpose(2, 3) / q.shape[3] ** 0.5)
        mixed = (weights @ v).squeeze(1).unflatten(0, (-1, self.heads))
        return self.out(mixed.transpose(1, 2).flatten(2))


class OfChannels(Attention):
    """Channels look at channels (EdgeNeXt's)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).permute(0, 2, 3, 1)
            for part in (self.q(x), self.k(x), self.v(x))
        )
        weights = self.softmax(q @ k.transpose(2, 3))
        return self.out((weights @ v).permute(0, 3, 1, 2).flatten(2))


def vit(form: type[Attention]) -> SmallVit:
    model = SmallVit("mean")
    for block in model.blocks:
        width, heads = block.attn.out.out_features, block.attn.heads
        block.attn = form(width, heads)
    return seeded(model)


@pytest.mark.parametrize("form", [Turned, Joined])
def test_weights_and_gradients_are_the_models(tmp_path: Path, form: type[Attention]) -> None:
    model, x, seen = vit(form), noise(2, 24, 32), list[torch.Tensor]()
    for block in model.blocks:
        block.attn.softmax.register_forward_hook(lambda _m, _i, made: seen.append(made))
    path = tmp_path / "m.onnx"
    export(model, path, (torch.zeros(2, 3, 24, 32),), layers="attention", extras=["legrad"])
    _, verdict = verify_artifact(path)
    assert verdict.status == "pass", verdict.failures
    seen.clear()
    table = model(torch.from_numpy(x))
    slopes = torch.autograd.grad(table[:, 2].sum(), seen)
    found = Session(path).run({"x": x, "class_index": np.array([[2]])})
    spec = Session(path).spec
    assert spec.attention is not None
    for block, weights, slope in zip(spec.attention.blocks, seen, slopes, strict=True):
        assert block.role == "chain"
        heads = model.blocks[0].attn.heads
        shape = 2, heads, *weights.shape[-2:]
        np.testing.assert_allclose(
            found[block.weights or ""], weights.detach().reshape(shape), atol=1e-6
        )
        np.testing.assert_allclose(
            found[block.gradients or ""][:, 0], slope.reshape(shape), atol=1e-6
        )
    for method in ("rollout", "legrad"):
        for one in Explainer(path).explain(x, 2, method=method):
            assert one.maps.shape[-2:] == (3, 4)
            assert one.maps.std() > 0


def test_an_attention_of_channels_is_refused_for_that(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="is of channels by channels: no place looks at places"):
        export(vit(OfChannels), tmp_path / "m.onnx", (torch.zeros(2, 3, 24, 32),),
               layers="attention")  # fmt: skip
