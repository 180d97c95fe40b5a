"""Explain an image-to-text model word by word.

    python -m examples.captions.captions out/captions

A small encoder-decoder of transformers (ViT and GPT-2, from their configurations) learns to say
what is on drawings: ``red circle above blue square``. It is exported with graftcam; from then on
ONNX Runtime alone generates a caption and draws a map for each of its words.

The words are *teacher-forced*: the caption is fed back, and the score of word t is its logit at
step t. An output [N, steps, words] has positions, its steps, so a region of one step and the word's
id as the class are all there is to ask. HiResCAM multiplies activations and gradients place by
place; Grad-CAM averages the gradient over the image first, and with it where the decoder looked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

import graftcam
from graftcam.runtime import Explanation, figure

Image = npt.NDArray[np.uint8]
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 200, 40),
}
SHAPES = ("circle", "square", "triangle")
WORDS = ["<start>", "<end>", *COLOURS, *SHAPES, "above", "beside"]
SIDE = 64  # of a drawing, in pixels
_RATE = 2e-3  # the largest, early in the training
STEPS = 6  # five words and the end


def draw(generator: np.random.Generator) -> tuple[Image, list[int]]:
    """A drawing of two shapes, uint8 [64, 64, 3], and its caption: ids of 7 words.

    The upper one is named first; if they stand side by side, the left one.
    """
    image = generator.integers(150, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    above = bool(generator.integers(2))
    words = ["<start>"]
    for place in range(2):
        colour, shape = generator.choice([*COLOURS]), generator.choice(SHAPES)
        along, across = 17 + 30 * place, int(generator.integers(16, 49))
        x, y = (across, along) if above else (along, across)
        _add(image, shape, COLOURS[colour], x, y, int(generator.integers(8, 12)))
        words += [colour, shape, ("above" if above else "beside") if place == 0 else "<end>"]
    return image, [WORDS.index(word) for word in words]


def _add(image: Image, shape: str, colour: Sequence[int], x: int, y: int, size: int) -> None:
    if shape == "circle":
        cv2.circle(image, (x, y), size, colour, -1)
    elif shape == "square":
        cv2.rectangle(image, (x - size, y - size), (x + size, y + size), colour, -1)
    else:
        corners = np.array([(x, y - size), (x - size, y + size), (x + size, y + size)])
        cv2.fillPoly(image, [corners], colour)


def build() -> Any:
    """The model, from its configuration; there is nothing to download."""
    import transformers

    torch.manual_seed(0)
    encoder = transformers.ViTConfig(
        image_size=SIDE, patch_size=8, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=128,
    )  # fmt: skip
    decoder = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=STEPS, n_embd=64, n_layer=2, n_head=4,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    return transformers.VisionEncoderDecoderModel(config)


def train(model: Any, steps: int, say: Callable[[str], None] = print) -> None:
    """Train on drawings, 32 at a time."""
    generator = np.random.default_rng(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps, pct_start=0.15)
    model.train()
    for step in range(steps):
        images, captions = zip(*(draw(generator) for _ in range(32)), strict=True)
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
        ids = torch.tensor(captions)
        logits = model(pixel_values=pixels, decoder_input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            right = (logits.argmax(-1) == ids[:, 1:]).float().mean()
            say(f"step {step + 1}: loss {loss:.3f}, {right:.0%} of the words right")


def export(model: Any, path: Path) -> graftcam.exporter.Report:
    """Write the artifact, verified against PyTorch.

    Captions have a fixed length here: a causal decoder does not look at words after a step, so
    shorter ones are filled up.
    """
    example = {
        "pixel_values": torch.rand(1, 3, SIDE, SIDE),
        "decoder_input_ids": torch.randint(len(WORDS), (1, STEPS)),
    }
    return graftcam.export(model.eval(), path, example, labels=WORDS, preprocess="unit")


def caption(explainer: graftcam.Explainer, image: Image) -> list[int]:
    """Generate a caption, the best word at each step: ids of 7 words, with ONNX Runtime alone."""
    pixels = np.moveaxis(image, -1, 0)[None].astype(np.float32) / 255
    ids = np.full((1, STEPS + 1), WORDS.index("<end>"), np.int64)
    ids[0, 0] = WORDS.index("<start>")
    for step in range(STEPS):
        feeds = {"pixel_values": pixels, "decoder_input_ids": ids[:, :-1]}
        nothing = np.zeros((1, 0), np.int64)  # plain prediction: no class is explained
        logits = explainer.run(feeds, nothing)[explainer.spec.score.output]
        ids[0, step + 1] = logits[0, step].argmax()
    return ids[0].tolist()


def explain_words(
    explainer: graftcam.Explainer, image: Image, ids: Sequence[int]
) -> list[Explanation]:
    """A map for each word up to the end."""
    fed = {"decoder_input_ids": np.array(ids[:-1])}
    return [
        explainer.explain(image, word, region=np.eye(STEPS)[step], inputs=fed, method="hirescam")
        for step, word in enumerate(ids[1:])
        if WORDS.index("<end>") not in ids[1 : step + 2]
    ]


def main() -> None:
    """Train, export, and explain three drawings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the artifact and the figures go")
    parser.add_argument("--steps", type=int, default=4000, help="of training")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    model = build()
    train(model, asked.steps)
    report = export(model, asked.folder / "captions.onnx")
    print(f"layer {', '.join(report.layers)}: {report.verification.verdict}")
    explainer = graftcam.Explainer(report.path)
    generator = np.random.default_rng(2)
    for number in range(3):
        image, truth = draw(generator)
        ids = caption(explainer, image)
        said = " ".join(WORDS[word] for word in ids[1:])
        print(f"drawing {number}: {said}{'' if ids == truth else ' (wrong)'}")
        pixels = figure(explain_words(explainer, image, ids))
        cv2.imwrite(str(asked.folder / f"words-{number}.png"), pixels[..., ::-1])


if __name__ == "__main__":
    main()
