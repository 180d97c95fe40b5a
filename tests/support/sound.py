"""Sound files of every width."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

SAMPLES = np.array([[0, 0.5, -1, 0.25], [0.125, -0.5, 0.75, 0]], np.float32)


def sound(path: Path, bits: int, tag: int = 1, samples: np.ndarray = SAMPLES) -> Path:
    """Write WAVE of any width, with a chunk of odd length before the samples."""
    channels, width = len(samples), bits // 8
    if tag == 3:
        data = samples.T.astype(f"<f{width}").tobytes()
    else:
        whole = np.rint(samples.T * 2.0 ** (bits - 1)).astype("<i8") + (128 if bits == 8 else 0)
        data = b"".join(int(v).to_bytes(width, "little", signed=bits > 8) for v in whole.flat)
    head = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * channels * width, channels * width,
                       bits)  # fmt: skip
    body = b"fmt " + struct.pack("<I", len(head)) + head
    body += b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body)
    return path
