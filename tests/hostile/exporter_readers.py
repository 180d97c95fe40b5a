"""Readers of the exporter: ONNX files, weights, labels, transforms, configurations."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as safe

from graftcam.commands.config import Lock, read_config
from graftcam.commands.export import export as export_command
from graftcam.exporter import export
from graftcam.exporter.source.checkpoint import read_weights
from graftcam.exporter.source.labels import read_labels
from graftcam.exporter.source.preprocessing import as_preprocess
from hostile.reader import Reader
from support.onnx_text import parsed

_HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
_LOCKED = b'{"first": {"from": "0", "artifact": "1"}}'
_STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def _sources() -> list[bytes]:
    """A small classifier, and one with a branch, a function and a loop's operators."""
    weights = {
        "k": np.full((4, 3, 3, 3), 0.1, np.float32), "w": np.ones((5, 4), np.float32),
        "b": np.zeros(5, np.float32), "yes": np.array(True),
    }  # fmt: skip
    body = """
        c = Conv <pads = [1, 1, 1, 1]> (image, k)
        r = Relu(c)
        p = GlobalAveragePool(r)
        f = Flatten(p)
    """
    head = f"{_HEAD} g (float[N, 3, 8, 8] image) => (float[N, 5] logits)"
    plain = f"{head} {{ {body} logits = Gemm <transB = 1> (f, w, b) }}"
    branch = f"""{head} {{ {body}
        logits = If (yes) <
            then_branch = one () => (float[N, 5] y) {{ y = Gemm <transB = 1> (f, w, b) }},
            else_branch = two () => (float[N, 5] z) {{ z = Gemm <transB = 1> (f, w) }}
        > }}"""
    return [parsed(text, weights).SerializeToString() for text in (plain, branch)]


def _export(path: Path) -> None:
    """Export without verification, as the runtime would load it."""
    out = path.with_name("out.onnx")
    export(path, out, verify="off")
    out.unlink()


def _weights() -> list[bytes]:
    packed = io.BytesIO()
    torch.save(_STATE, packed)
    return [packed.getvalue()]


def _labels() -> list[bytes]:
    nested = {"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}
    kinds = (["cat", "dog"], {"0": "cat", "1": "dog"}, {"cat": 0, "dog": 1}, nested,
             {"id2label": {"0": "cat"}})  # fmt: skip
    return [json.dumps(kind).encode() for kind in kinds]


def _transforms() -> list[bytes]:
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True,
        "size": {"height": 24, "width": 24},
        "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "do_rescale": True, "rescale_factor": 1 / 255, "resample": 2,
    }  # fmt: skip
    timm = {"input_size": [3, 24, 24], "mean": [0, 0, 0], "std": [1, 1, 1], "crop_pct": 0.9,
            "interpolation": "bicubic"}  # fmt: skip
    own = {"size": [24, 24], "mean": [0.5], "std": [0.5]}
    return [json.dumps(one).encode() for one in (processor, timm, own)]


def _configs() -> list[bytes]:
    return [
        b'[defaults]\nshape = [3, 8, 8]\n[first]\nsource = "a.onnx"\nto = "b.onnx"\nlayer = "r"\n'
        b'mean = [0.5, 0.5, 0.5]\nverify = "off"\n\n'
        b'[second]\nsource = "pack.mod:factory"\nto = "c.onnx"\n',
    ]


def _config(path: Path) -> None:
    for entry in read_config(path, export_command):
        list(entry.arguments)


def _lock(path: Path) -> None:
    """Ask a lock file about every model of the configuration."""
    config = path.with_name("models.toml")
    config.write_bytes(_configs()[0])
    path.replace(path.with_name("models.lock.json"))
    try:
        lock = Lock(config)
        for entry in read_config(config, export_command):
            lock.is_current(entry)
    finally:
        config.unlink()
        config.with_name("models.lock.json").unlink()


READERS = (
    Reader("onnx", "protobuf", ".onnx", _sources, _export, 10),
    Reader("pt", "zip", ".pt", _weights, read_weights, 3),
    Reader("safetensors", "bytes", ".safetensors", lambda: [safe(_STATE)], read_weights, 2),
    Reader("labels", "json", ".json", _labels, read_labels, 2),
    Reader("label lines", "lines", ".txt", lambda: [b"0 cat\n1 dog\n", b"id,name\n0,cat\n1,dog"],
           read_labels, 2),
    Reader("transform", "json", ".json", _transforms, as_preprocess, 2),
    Reader("config", "lines", ".toml", _configs, _config, 2),
    Reader("lock", "json", ".json", lambda: [_LOCKED], _lock, 1),
)  # fmt: skip
