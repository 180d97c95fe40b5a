"""``python -m benchmarks.legrad`` compares LeGrad's maps with those of its authors' package.

The models are a CLIP and a SigLIP of open_clip, small ones with random weights. The packages are
downloaded once, without what they depend on, which is installed here: into ``.bench/legrad``.
Figures go to ``docs/legrad.json`` and into docs/transformers.md.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from graftcam.exporter import export
from graftcam.runtime import Explainer

from .migration.case import agreement
from .migration.convert import stretched
from .script import DOCS, ROOT, options, say, table, write_json

_PINS = (
    "legrad_torch==1.1", "open_clip_torch==3.3.0", "einops==0.8.2", "ftfy==6.3.1", "wcwidth==0.9.4",
)  # fmt: skip
_TEXTS = 4
_BEGIN, _END = "<!-- legrad -->\n", "<!-- end of legrad -->"


class ImageHalf(nn.Module):
    """The image encoder of a model of open_clip."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.visual = model.visual

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings [N, width] of images."""
        return self.visual(pixels)


def main() -> None:
    """Compare both models and write the page."""
    asked = options(
        __doc__,
        folder=(ROOT / ".bench" / "legrad", "folder for the packages"),
        docs=(DOCS, "where figures and page go"),
    )
    _install(asked.folder)
    rows = [_compare(name, *case) for name, case in _models().items()]
    versions = {pin.split("==")[0]: pin.split("==")[1] for pin in _PINS[:2]}
    versions |= {name: metadata.version(name) for name in ("torch", "timm", "onnxruntime")}
    write_json(asked.docs / "legrad.json", {"versions": versions, "rows": rows})
    page = asked.docs / "transformers.md"
    page.write_text(with_table(page.read_text("utf-8"), rows), "utf-8")


def with_table(page: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page with the text between its two marks replaced by the table."""
    cells = [
        [row["model"], f"{row['difference']:.0e}", f"{row['correlation']:.6f}"] for row in rows
    ]
    lines = table(["model of open_clip", "largest difference", "correlation"], cells)
    head, rest = page.split(_BEGIN, 1)
    return head + _BEGIN + "\n" + "\n".join(lines) + "\n\n" + _END + rest.split(_END, 1)[1]


def _install(folder: Path) -> None:
    done = folder / "installed.txt"
    if not done.exists() or done.read_text("utf-8").split() != list(_PINS):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        subprocess.run([*command, "--target", str(folder), *_PINS], check=True)
        done.write_text("\n".join(_PINS), "utf-8")
    sys.path.append(str(folder))


def _models() -> dict[str, tuple[Any, Tensor]]:
    """Each model with an image [1, 3, H, W]; weights are random, norms as well."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    torch.manual_seed(0)
    text = CLIPTextCfg(context_length=16, vocab_size=100, width=32, heads=2, layers=1)
    plain = CLIPVisionCfg(layers=4, width=64, head_width=16, patch_size=16, image_size=96)
    pooled = CLIPVisionCfg(
        timm_model_name="vit_base_patch16_siglip_224", timm_model_pretrained=False,
        timm_pool="map", timm_proj="none", image_size=224,
    )  # fmt: skip
    clip = CLIP(32, plain, text)
    siglip = CustomTextCLIP(768, pooled, text)
    siglip.visual.trunk.blocks = siglip.visual.trunk.blocks[:4]
    for model in (clip, siglip):
        for parameter in model.visual.parameters():
            if parameter.ndim == 1:
                with torch.no_grad():
                    parameter.add_(0.3 * torch.randn_like(parameter))
    bare = copy.deepcopy(siglip)
    bare.visual.trunk.norm = nn.Identity()
    large = torch.randn(1, 3, 224, 224)
    return {
        "CLIP: a ViT of four blocks, class token": (clip.eval(), torch.randn(1, 3, 96, 96)),
        "SigLIP: ViT-B/16 cut to four blocks, attention pool": (siglip.eval(), large),
        "the same without the norm before its pool": (bare.eval(), large),
    }


def _compare(name: str, model: Any, image: Tensor) -> dict[str, Any]:
    """The worst agreement over some random texts; both maps stretched as the package does."""
    width = model.visual(image).shape[1]
    texts = functional.normalize(torch.randn(_TEXTS, width), dim=-1)
    theirs = _of_the_package(model, image, texts)
    ours = _ours(model, image, texts)
    found = [
        agreement(one, _as_theirs(other, image)) for one, other in zip(theirs, ours, strict=True)
    ]
    row = {
        "model": name,
        "difference": float(f"{max(one['difference'] for one in found):.1e}"),
        "correlation": round(min(one["correlation"] for one in found), 6),
    }
    say(f"{name}: largest difference {row['difference']:.0e}, correlation {row['correlation']}")
    return row


def _of_the_package(model: Any, image: Tensor, texts: Tensor) -> list[np.ndarray]:
    """LeGrad of all blocks by the authors' wrapper, which takes the last two by default."""
    wrap: Any = importlib.import_module("legrad").LeWrapper

    with contextlib.redirect_stdout(io.StringIO()):
        wrapped = wrap(copy.deepcopy(model), layer_index=0)
    # Their correction for SigLIP clears places where an empty text is explained, too.
    return [
        stretched(one.detach().numpy(), one.shape)
        for text in texts
        for one in wrapped.compute_legrad(text[None], image, apply_correction=False)[0]
    ]


def _ours(model: Any, image: Tensor, texts: Tensor) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(
            ImageHalf(model).eval(), path, (image,), score="similarity", scale=1.0,
            extras="legrad", verify="off",
        )  # fmt: skip
        named = {str(number): text.numpy() for number, text in enumerate(texts)}
        return Explainer(path, "cpu").explain(
            image.numpy(), score_weights=named, method="legrad"
        )[0].maps  # fmt: skip


def _as_theirs(one: np.ndarray, image: Tensor) -> np.ndarray:
    """A map at the image's size, from 0 to 1: stretched, enlarged and stretched again.

    Of CLIP the package stretches the enlarged map, of SigLIP the small one; both are stretched
    once more here, so that either order gives the same.
    """
    size = image.shape[2], image.shape[3]
    grid = torch.from_numpy(stretched(one, size))[None, None]
    return stretched(functional.interpolate(grid, size, mode="bilinear")[0, 0].numpy(), size)


if __name__ == "__main__":
    main()
