"""An image-to-text model of transformers, explained word by word: examples/captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import graftcam
from examples.captions import captions
from examples.captions.captions import STEPS, WORDS

pytest.importorskip("transformers")


def test_each_word_has_the_map_of_its_own_step(tmp_path: Path) -> None:
    """Its score is its logit at its step, and its map agrees with autograd in float64."""
    model = captions.build()
    with torch.no_grad():
        for parameter in model.parameters():  # untrained, the words hardly look at the image
            parameter.add_(0.1 * torch.randn_like(parameter))
    report = captions.export(model, tmp_path / "captions.onnx")
    assert report.verification.verdict == "pass"
    layer = report.spec.layers[0]
    assert (layer.name, layer.grid, layer.prefix_tokens) == ("encoder.layernorm", [8, 8], 1)
    assert report.spec.score.class_axis == 2
    image, _ = captions.draw(np.random.default_rng(0))
    explainer = graftcam.Explainer(report.path)
    words = ["red", "circle", "above", "blue", "square"]
    ids = [WORDS.index(word) for word in ["<start>", *words, "<end>"]]
    found = captions.explain_words(explainer, image, ids)
    assert [one.labels[0] for one in found] == words
    model = model.double()
    tokens = list[torch.Tensor]()
    model.encoder.layernorm.register_forward_hook(lambda _m, _a, output: tokens.append(output))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
    logits = model(pixel_values=pixels, decoder_input_ids=torch.tensor([ids[:-1]])).logits
    drawn = 0
    for step, one in enumerate(found):
        score = logits[0, step, ids[step + 1]]
        (slope,) = torch.autograd.grad(score, tokens, retain_graph=True)
        expected = (slope * tokens[0])[0, 1:].sum(1).clamp(min=0).reshape(8, 8)
        assert one.scores[0] == pytest.approx(score.item(), rel=1e-4, abs=1e-5)
        scale = expected.max().item()
        assert np.abs(one.maps[0] - expected.detach().numpy()).max() <= 1e-3 * scale
        drawn += scale > 0
    assert drawn >= 2  # the others are negative everywhere


def test_a_caption_is_generated_without_pytorch(tmp_path: Path) -> None:
    """The artifact gives the logits of every step as the model does; later words do not matter."""
    model = captions.build()
    path = tmp_path / "captions.onnx"
    graftcam.export(
        model.eval(), path,
        {"pixel_values": torch.rand(1, 3, 64, 64), "decoder_input_ids": torch.zeros(1, 6).long()},
        labels=WORDS, preprocess="unit", verify="off",
    )  # fmt: skip
    image, _ = captions.draw(np.random.default_rng(1))
    ids = captions.caption(graftcam.Explainer(path), image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    said = [WORDS.index("<start>")]
    for _ in range(STEPS):
        with torch.no_grad():
            logits = model(pixel_values=pixels, decoder_input_ids=torch.tensor([said])).logits
        said.append(int(logits[0, -1].argmax()))
    assert ids == said
