"""``python -m graftcam.demo.train`` trains the demo's network and draws its images.

It writes ``digits.pt`` and ``images/`` beside this file, then prints figures on test canvases.
The eight images are the first eight canvases of ``IMAGE_SEED``, without selection.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import torch
from torch import nn

from ..runtime import Explainer
from .bundled import FOLDER, WEIGHTS
from .data import MEAN, STD, Canvases, Glyphs, draw, load_glyphs
from .evaluate import measure
from .model import DigitNet, build
from .run import export_digits

EPOCHS = 8
STEPS = 100
BATCH = 64
PEAK_RATE = 6e-3
TORCH_SEED = 0
TRAIN_SEED = 1_000_000
HELDOUT_SEED = 1
HELDOUT_COUNT = 400
IMAGE_SEED = 2
IMAGE_COUNT = 8


def batches(glyphs: Glyphs) -> Iterator[Canvases]:
    """Yield batches endlessly, one drawn ahead; batch ``i`` has the seed TRAIN_SEED + i."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, glyphs, BATCH, TRAIN_SEED)
        for seed in count(TRAIN_SEED + 1):
            ready = ahead.result()
            ahead = pool.submit(draw, glyphs, BATCH, seed)
            yield ready


def train(glyphs: Glyphs) -> DigitNet:
    """Train on new canvases; each is used once."""
    torch.manual_seed(TORCH_SEED)
    # Channels last trains a third faster on CPUs.
    model = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, EPOCHS * STEPS, pct_start=0.15
    )
    criterion = nn.BCEWithLogitsLoss()
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    stream = batches(glyphs)
    started = time.perf_counter()
    for epoch in range(EPOCHS):
        model.train()
        total = 0.0
        for batch in islice(stream, STEPS):
            pixels = torch.from_numpy(batch.images).permute(0, 3, 1, 2) / 255.0
            inputs = ((pixels - mean) / std).contiguous()
            loss = criterion(model(inputs), torch.from_numpy(batch.targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}/{EPOCHS}  loss {total / STEPS:.4f}  {seconds:4.0f} s", flush=True)
    return model.to(memory_format=torch.contiguous_format)


def write_images(glyphs: Glyphs) -> None:
    """Write the bundled images and their boxes."""
    FOLDER.mkdir(exist_ok=True)
    canvases = draw(glyphs, IMAGE_COUNT, IMAGE_SEED)
    entries: list[dict[str, object]] = []
    for index, (image, boxes) in enumerate(zip(canvases.images, canvases.boxes, strict=True)):
        name = f"digits{index}.png"
        cv2.imwrite(str(FOLDER / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        entries.append({"file": name, "digits": [box._asdict() for box in boxes]})
    (FOLDER / "boxes.json").write_text(json.dumps(entries, indent=1) + "\n", "utf-8")


def main() -> None:
    """Train, save, measure."""
    # Always two threads: sums in another order give other weights.
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    heldout = load_glyphs("heldout")
    write_images(heldout)
    model = train(load_glyphs("train"))
    torch.save(model.state_dict(), WEIGHTS)
    with TemporaryDirectory() as folder:
        artifact = Path(folder) / "digits.onnx"
        export_digits(artifact)
        print(measure(Explainer(artifact), draw(heldout, HELDOUT_COUNT, HELDOUT_SEED)))


if __name__ == "__main__":
    main()
