"""Maps whose axes run along the input's in another order: those of a spectrogram's patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.runtime import Explainer
from support.nets import seeded


class Patches(nn.Module):
    """Takes [N, time, mel], and works on tokens of [mel, time]."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(1, 8, 8, 8)
        self.mix, self.norm, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        tokens = self.cut(spectrogram.transpose(1, 2)[:, None]).flatten(2).transpose(1, 2)
        return self.head(self.norm(tokens + self.mix(tokens).tanh()).mean(1))


def test_a_map_of_turned_axes_is_laid_over_the_input_as_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    report = export(seeded(Patches()), path, (torch.rand(1, 96, 40),))
    layer = report.spec.layers[0]
    assert (layer.grid, layer.input_axes) == ([5, 12], [2, 1])
    assert any("run along axes 2, 1 of the input" in note for note in report.notes)
    quiet = np.full((96, 40), 0.1, np.float32)
    loud = quiet.copy()
    loud[80:88, 8:16] = 4  # the eleventh patch in time, the second in mel
    explainer = Explainer(path)
    raw = explainer.run(loud[None], [[0, 1, 2]])[layer.heatmap]
    explained = explainer.explain(loud, classes=[0, 1, 2])
    assert raw.shape == (1, 3, 5, 12)
    assert np.array_equal(explained.maps, raw[0].transpose(0, 2, 1))
    found = [map_ for map_ in explained.heatmaps if map_.any()]
    assert found
    assert found[0].shape == (96, 40)
    activations = explainer.run(loud[None], [[0]])[layer.activations]
    changed = np.abs(activations - explainer.run(quiet[None], [[0]])[layer.activations]).sum(1)[0]
    assert np.unravel_index(changed.argmax(), changed.shape) == (1, 10)
