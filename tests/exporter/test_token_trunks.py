"""Trunks of tokens as transformers write them: which block is chosen, and on which grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import candidates_of, export
from graftcam.exporter.locate.candidate import Candidate
from graftcam.exporter.locate.layer_rules import misplaced, ranked
from support.nets import seeded
from support.sessions import open_session

WIDTH = 8


class Mlp(nn.Module):
    """Adds its input itself, so that the block returns what this module returned."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, x: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        return self.narrow(nn.functional.gelu(self.wide(x))) + added


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = x + 0.3 * x.mean(1, keepdim=True)
        return self.mlp(self.norm(mixed), mixed)


class Trunk(nn.Module):
    """Patches, blocks, the mean of the tokens."""

    def __init__(self, patch: nn.Module) -> None:
        super().__init__()
        self.patch = patch
        self.blocks = nn.Sequential(Block(), Block(), nn.Identity())
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.tokens(x)).tanh().mean(1))

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return self.patch(x).flatten(2).transpose(1, 2)


class FrameByFrame(Trunk):
    """Sees each frame of [N, T, C, H, W] as an image; a place's frames lie side by side."""

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        count, frames = x.shape[:2]
        rows = self.patch(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        turned = rows.reshape(count, frames, -1, WIDTH).transpose(1, 2)
        first = turned.mean((1, 2))[:, None]
        return torch.cat([first, turned.flatten(1, 2)], 1)


class Tubelets(Trunk):
    """Cuts [N, T, C, H, W] into tubes of two frames, as VideoMAE does."""

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return super().tokens(x.transpose(1, 2))


def test_a_block_that_returns_what_a_module_inside_returned_is_shown() -> None:
    """It was taken for a map with its channels first, and refuted."""
    module = seeded(Trunk(nn.Conv2d(3, WIDTH, 4, stride=4)))
    found = candidates_of(module, (torch.randn(1, 3, 16, 24),))
    assert found[0].name == "blocks"
    assert [one.name for one in found if "not where the input's are" in one.reason] == []


@pytest.mark.parametrize(
    ("module", "grid", "prefix", "axes"),
    [
        (FrameByFrame(nn.Conv2d(3, WIDTH, 4, stride=4)), [2, 3, 5], 1, [3, 4, 1]),
        (Tubelets(nn.Conv3d(3, WIDTH, (2, 4, 4), stride=(2, 4, 4))), [3, 2, 3], 0, None),
    ],
    ids=["frame by frame", "tubelets"],
)
def test_a_clips_tokens_have_a_map_for_each_frame(
    tmp_path: Path, module: Trunk, grid: list[int], prefix: int, axes: list[int] | None
) -> None:
    frames = 6 if isinstance(module, Tubelets) else 5
    clip = torch.randn(1, frames, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "clip.onnx"
    layer = export(seeded(module), path, (clip,)).spec.layers[0]
    assert layer.name == "blocks"
    assert (layer.grid, layer.prefix_tokens, layer.input_axes) == (grid, prefix, axes)
    # What happens in the last frame alone moves the places of that frame most.
    session = open_session(path)
    changed = clip.clone()
    changed[:, -1] += 1.0
    before, after = [session.run([layer.activations], {"x": x.numpy()})[0] for x in (clip, changed)]
    moved = np.abs(after - before).sum(1)[0]  # over the channels
    time = 2 if axes else 0
    by_frame = moved.sum(tuple(axis for axis in range(3) if axis != time))
    assert by_frame.argmax() == len(by_frame) - 1


def test_a_trunk_whose_tokens_have_no_grid_is_named() -> None:
    """Else a patch embedding would look like a choice as good as any."""
    usable = Candidate("patch", "Conv2d", (1, 8, 4, 4), True, "spatial extent")
    block = Candidate("block", "Block", (1, 29, 8), False, "no grid fits its tokens")
    assert ranked([usable, *[block] * 4])[0].reason == (
        "spatial extent; but no grid fits the tokens [1, 29, 8] of what follows it"
    )
    assert ranked([usable, *[block] * 3])[0].reason == "spatial extent"


def test_a_part_of_a_block_without_places_comes_behind_the_layers_before_the_block() -> None:
    """Of LeViT the queries of the last downsampling were chosen, not the stage before it."""
    shape, shown = (1, 8, 4, 4), "spatial extent"
    stage = Candidate("stages.1", "Stage", (1, 8, 7, 7), True, shown)
    queries = Candidate("stages.2.down.q", "Conv2d", shape, True, shown)
    down = Candidate("stages.2.down", "Downsample", shape, False, misplaced(0.0))
    rest = Candidate("stages", "Sequential", shape, False, misplaced(0.0))
    names = [one.name for one in ranked([stage, queries, down, rest])]
    assert names == ["stages.1", "stages.2.down.q", "stages", "stages.2.down"]
    tokens = replace(down, shape=(1, 16, 8))  # queries of a detector, behind an encoder of places
    assert ranked([stage, queries, tokens, rest])[0] is queries


class Reader(nn.Module):
    """A text's tokens look at one another, then at the image's; the weights are returned, too."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.cross = (nn.MultiheadAttention(WIDTH, 2, batch_first=True) for _ in range(2))

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed, weights = self.own(x, x, x, average_attn_weights=False)
        return x + mixed + self.cross(x, image, image, need_weights=False)[0], weights


class Captioner(Trunk):
    """Reads [N, 4] token ids beside an image whose grid is 4 x 4, and scores every word."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, WIDTH, 4, stride=4))
        self.words = nn.Embedding(5, WIDTH)
        self.readers = nn.ModuleList(Reader() for _ in range(2))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        image, text, used = self.blocks(self.tokens(x)), self.words(ids), 0.0
        for reader in self.readers:
            text, weights = reader(text, image)
            used = used + weights.sum((1, 3))[..., None]
        return self.head(text + used)


def captioner() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return seeded(Captioner()), (torch.randn(1, 3, 16, 16), torch.tensor([[0, 1, 2, 3]]))


def test_a_texts_attention_is_no_map_of_the_image() -> None:
    """Weights [N, heads, 4, 4] have the extents of the patches, and modules return them beside."""
    found = candidates_of(*captioner(), class_axis=2)
    assert found[0].name == "blocks"
    reasons = {one.name: one.reason for one in found}
    assert reasons["readers.0[1]"] == "it does not depend on the image, only on other inputs"
    assert "not where the input's are" in reasons["readers.1[1]"]
    assert not any(one.usable for one in found if one.name.startswith("readers"))


def test_what_no_image_reaches_is_no_layer_of_a_file(tmp_path: Path) -> None:
    module, inputs = captioner()
    path = tmp_path / "captioner.onnx"
    torch.onnx.export(module, inputs, path, dynamo=True, verbose=False)
    found = candidates_of(path, class_axis=2)
    first = next(one for one in found if one.kind == "Softmax")
    blind = [one for one in found if one.reason.startswith("it does not depend on the image")]
    assert blind
    assert not first.usable


class Prefixed(Trunk):
    """Puts a text's tokens behind the image's and their class token, as GIT does."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, WIDTH, 4, stride=4))
        self.words = nn.Embedding(5, WIDTH)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        patches = self.tokens(x)
        first = patches.mean(1, keepdim=True)
        tokens = torch.cat([torch.cat([first, patches], 1), self.words(ids)], 1)
        return self.head(self.blocks(tokens).tanh().mean(1))


def test_a_texts_tokens_behind_the_images_are_no_places(tmp_path: Path) -> None:
    """They were taken for tokens before the grid: the map was moved by as many places."""
    inputs = torch.randn(1, 3, 16, 24), torch.tensor([[0, 1, 2]])
    layer = export(seeded(Prefixed()), tmp_path / "prefixed.onnx", inputs).spec.layers[0]
    assert (layer.grid, layer.prefix_tokens, layer.suffix_tokens) == ([4, 6], 1, 3)
