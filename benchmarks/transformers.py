"""``python -m benchmarks.transformers`` trains a small ViT on the demo's digits and explains it.

No package brings weights of a vision transformer, so that one is trained: on canvases with two or
three digits in clutter, as the demo's network is. It writes to ``docs``:

- ``images/transformers.jpg``: canvases by each method of attention and by Grad-CAM;
- the table in ``transformers.md``: how often a method's maximum lies on the digit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graftcam.demo.data import LABELS, MEAN, SIZE, STD, Box, draw, load_glyphs
from graftcam.demo.run import hits
from graftcam.demo.train import batches
from graftcam.exporter import export
from graftcam.runtime import Explainer
from graftcam.runtime.output.render import panel, write_image
from graftcam.runtime.spec import Preprocess

from .script import DOCS, ROOT, options, say, table

_METHODS = ("gradcam", "layercam", "rollout", "gradient-rollout", "legrad", "grad-eclip")
_BEGIN, _END = "<!-- pointing game -->\n", "<!-- end -->"
_SHOWN_SEED, _PLAYED_SEED = 2, 3
_WIDTH, _HEADS, _BLOCKS = 64, 4, 3


class DigitVit(nn.Module):
    """Finds which digits a canvas shows: a class token and 12 x 12 patches of 8 pixels.

    Three strided convolutions cut the patches, which few images teach more quickly than one does
    (Xiao et al., 2021). float [N, 3, 96, 96] in, float [N, 10] logits out.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, _WIDTH)
        steps = [
            [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            for before, after in pairwise(widths)
        ]
        self.patches = nn.Sequential(*(layer for step in steps for layer in step))
        self.token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + (SIZE // 8) ** 2, _WIDTH))
        block = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 2 * _WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, _BLOCKS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear(_WIDTH, len(LABELS))
        nn.init.constant_(self.head.bias, math.log(0.25 / 0.75))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


def main() -> int:
    """Train if there are no weights yet, then explain; see the module."""
    asked = options(
        __doc__,
        docs=(DOCS, "folder of the documents"),
        steps=(1000, "batches of 64 canvases to train on"),
        canvases=(200, "how many to play on"),
        fresh=(False, "train again"),
    )
    cache = ROOT / ".bench"
    cache.mkdir(exist_ok=True)
    weights, artifact = cache / f"digit-vit-{asked.steps}.pt", cache / "digit-vit.onnx"
    torch.manual_seed(0)
    model = DigitVit()
    if asked.fresh or not weights.exists():
        _train(model, asked.steps)
        torch.save(model.state_dict(), weights)
    model.load_state_dict(torch.load(weights, weights_only=True))
    side = [SIZE, SIZE]
    transform = Preprocess("", side, None, "exact", "bilinear", 1 / 255, list(MEAN), list(STD))
    extras = [method for method in _METHODS if method != "gradcam"]
    export(
        model.eval(), artifact, (torch.zeros(2, 3, SIZE, SIZE),), layers="attention",
        extras=extras, labels=list(LABELS), preprocess=transform,
        score="logit", activation="sigmoid",
    )  # fmt: skip
    explainer = Explainer(artifact)
    _draw(explainer, asked.docs / "images" / "transformers.jpg")
    page = asked.docs / "transformers.md"
    rows = list(_play(explainer, asked.canvases))
    page.write_text(with_table(page.read_text("utf-8"), rows), "utf-8")
    return 0


def _train(model: nn.Module, steps: int) -> None:
    torch.set_num_threads(1)  # sums in another order give other weights
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.15)
    criterion = nn.BCEWithLogitsLoss()
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    total = 0.0
    for step, batch in zip(range(steps), batches(load_glyphs("train")), strict=False):
        pixels = torch.from_numpy(batch.images).permute(0, 3, 1, 2) / 255.0
        loss = criterion(model((pixels - mean) / std), torch.from_numpy(batch.targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 99:
            say(f"step {step + 1}/{steps}  loss {total / 100:.4f}")
            total = 0.0


def _draw(explainer: Explainer, path: Path) -> None:
    """Draw the first digit of four canvases by each method."""
    canvases = draw(load_glyphs("heldout"), 4, _SHOWN_SEED)
    images: list[Any] = []
    for image, boxes in zip(canvases.images, canvases.boxes, strict=True):
        images.append(image)
        for method in _METHODS:
            images.append(explainer.explain(image, boxes[0].label, method=method).draw())
    names = [LABELS[boxes[0].label] for boxes in canvases.boxes]
    titles = [title for name in names for title in (name, *_METHODS)]
    write_image(path, panel(images, titles, height=140, columns=1 + len(_METHODS)))


def _play(explainer: Explainer, count: int) -> Sequence[Sequence[str]]:
    """The pointing game: a method's maximum should lie in the box of the digit that it explains."""
    canvases = draw(load_glyphs("heldout"), count, _PLAYED_SEED)
    rows: list[list[str]] = []
    for method in _METHODS:
        landed: list[bool] = []
        for image, boxes in zip(canvases.images, canvases.boxes, strict=True):
            found = explainer.explain(image, [box.label for box in boxes], method=method)
            landed += hits(found, boxes)
        rows.append([f"`{method}`", f"{sum(landed) / len(landed):.1%} of {len(landed)}"])
        say(": ".join(rows[-1]))
    rows.append(["chance: the digits' share of the canvas", f"{_share(canvases.boxes):.1%}"])
    return rows


def _share(canvases: Sequence[Sequence[Box]]) -> float:
    areas = [box.w * box.h / SIZE**2 for boxes in canvases for box in boxes]
    return sum(areas) / len(areas)


def with_table(page: str, rows: Sequence[Sequence[str]]) -> str:
    """Return the page with the text between its two marks replaced by the table."""
    lines = table(["method", "maximum on the digit"], rows)
    head, rest = page.split(_BEGIN, 1)
    return head + _BEGIN + "\n" + "\n".join(lines) + "\n\n" + _END + rest.split(_END, 1)[1]


if __name__ == "__main__":
    sys.exit(main())
