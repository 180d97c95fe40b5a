"""This module lists models of transformers, small ones from their configurations, as they come.

They return their library's outputs, which are both dicts and dataclasses, and take tensors by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

_BLOCKS = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
}  # fmt: skip
_PATCHES = {**_BLOCKS, "image_size": (96, 128), "patch_size": 16}
_SQUARE = {**_PATCHES, "image_size": 96}
_PYRAMID = {"image_size": (96, 128), "embed_dim": 16, "depths": [2, 2, 2], "num_heads": [2, 2, 2]}
_SEGFORMER = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
_TEXT = {**_BLOCKS, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
_IMAGE, _SMALL = (3, 96, 128), (3, 96, 96)

# By class: the shape of one input, without the batch, and the fields of its configuration.
MODELS: dict[str, tuple[tuple[int, ...], Mapping[str, Any]]] = {
    "ViTForImageClassification": (_IMAGE, _PATCHES),
    "DeiTForImageClassification": (_IMAGE, _PATCHES),
    "BeitForImageClassification": (
        _SMALL, _SQUARE | {"use_relative_position_bias": True, "layer_scale_init_value": 0.5}),
    "Data2VecVisionForImageClassification": (_SMALL, _SQUARE),
    "SwinForImageClassification": (_IMAGE, _PYRAMID | {"window_size": 4}),
    "Swinv2ForImageClassification": (_IMAGE, _PYRAMID | {"window_size": 4}),
    "Dinov2ForImageClassification": (
        (3, 98, 126), _BLOCKS | {"image_size": 126, "patch_size": 14}),
    "Dinov2WithRegistersForImageClassification": (
        (3, 98, 126), _BLOCKS | {"image_size": 126, "patch_size": 14}),
    "DINOv3ViTModel": (_IMAGE, _SQUARE | {"num_register_tokens": 4}),
    "SegformerForImageClassification": (_IMAGE, _SEGFORMER),
    "SegformerForSemanticSegmentation": (_IMAGE, _SEGFORMER),
    "SiglipForImageClassification": (_SMALL, {"vision_config": _SQUARE, "text_config": _TEXT}),
    "SiglipVisionModel": (_SMALL, _SQUARE),
    "CLIPForImageClassification": (_SMALL, {"vision_config": _SQUARE, "text_config": _TEXT}),
    "CLIPVisionModelWithProjection": (_SMALL, _SQUARE | {"projection_dim": 24}),
    "VideoMAEForVideoClassification": (
        (8, 3, 64, 64), _PATCHES | {"image_size": 64, "num_frames": 8, "tubelet_size": 2}),
    "TimesformerForVideoClassification": (
        (8, 3, 64, 64), _PATCHES | {"image_size": 64, "num_frames": 8}),
    "VivitForVideoClassification": (
        (8, 3, 64, 64),
        _BLOCKS | {"image_size": 64, "num_frames": 8, "tubelet_size": [2, 16, 16]}),
    "ASTForAudioClassification": (
        (204, 128), _BLOCKS | {"patch_size": 16, "max_length": 204, "num_mel_bins": 128}),
}  # fmt: skip
_CLASSES = 7


def build(name: str) -> nn.Module:
    """The model ``name`` with random weights, in eval mode."""
    import transformers

    family = name.split("For")[0].removesuffix("WithProjection").removesuffix("Model")
    fields: dict[str, Any] = dict(MODELS[name][1])
    if "For" in name:
        fields["num_labels"] = _CLASSES
    config = getattr(transformers, f"{family}Config")(**fields)
    return getattr(transformers, name)(config).eval()


def input_name(name: str) -> str:
    """The name of the argument that takes the image, clip or spectrogram."""
    return "input_values" if "Audio" in name else "pixel_values"
