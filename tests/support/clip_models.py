"""Small models of transformers that compare images with texts, their halves and a tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

SIDE, PATCH, WIDTH, TOKENS = 32, 8, 24, 16
WORDS = "a photo of the dog cat eel small large drawing red green and or in on with"
_TEXT: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": TOKENS,
}  # fmt: skip
_VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "image_size": SIDE, "patch_size": PATCH,
}  # fmt: skip


def _drawn(model: nn.Module, seed: int) -> Any:
    """The model with weights large enough that its embeddings differ between inputs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.2, generator=generator)
    return model.eval()


def clip_model(seed: int = 0) -> Any:
    """A CLIPModel; its images are float32 [N, 3, 32, 32], its embeddings [N, 24]."""
    transformers = pytest.importorskip("transformers")
    # With an end of 2, CLIP would look for the largest id instead.
    ends = {"bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config={**_TEXT, **ends, "projection_dim": WIDTH},
        vision_config={**_VISION, "projection_dim": WIDTH}, projection_dim=WIDTH,
    )  # fmt: skip
    return _drawn(transformers.CLIPModel(config), seed)


def siglip_model(seed: int = 0) -> Any:
    """A SiglipModel; its embeddings have the width of the hidden layers, 32."""
    transformers = pytest.importorskip("transformers")
    config = transformers.SiglipConfig(
        text_config={**_TEXT, "projection_size": 32}, vision_config=_VISION
    )
    model = _drawn(transformers.SiglipModel(config), seed)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-2.0)
    return model


def clip_vision(model: Any) -> Any:
    """The image half of a CLIPModel, with its projection."""
    from transformers import CLIPVisionModelWithProjection

    half = CLIPVisionModelWithProjection(model.config.vision_config).eval()
    half.vision_model.load_state_dict(model.vision_model.state_dict())
    half.visual_projection.load_state_dict(model.visual_projection.state_dict())
    return half


class ClipText(nn.Module):
    """The text half of a CLIPModel: token ids [N, length] to embeddings [N, 24]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.text_model, self.text_projection = model.text_model, model.text_projection

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        return self.text_projection(found.pooler_output)


class TextEmbeddings(nn.Module):
    """A bag of words: token ids [N, length] to embeddings [N, 24]; padding counts for nothing."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(64, WIDTH, generator=generator))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        rows = self.table[input_ids] * attention_mask.unsqueeze(-1)
        return rows.sum(1)


def write_text_encoder(path: Path, model: nn.Module, length: int | None = None) -> Path:
    """Write a text encoder as an ONNX file; ``length``: of its axis of tokens, None for any."""
    ids = torch.ones(2, length or 5, dtype=torch.int64)
    axes: dict[int, Any] = {0: torch.export.Dim("texts")}
    if length is None:
        axes[1] = torch.export.Dim("length", max=TOKENS)
    torch.onnx.export(
        model.eval(), (ids, torch.ones_like(ids)), path, dynamo=True, verbose=False,
        input_names=["input_ids", "attention_mask"], output_names=["text_embeds"],
        dynamic_shapes=(axes, axes), external_data=False,
    )  # fmt: skip
    return path


def write_tokenizer(path: Path, limit: int | None = TOKENS) -> Path:
    """Write a tokenizer.json of byte pairs, with CLIP's tokens at both ends and its limit."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=64, special_tokens=["<pad>", "<start>", "<unk>", "<end>"], show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 50, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 3)]
    )
    if limit is not None:
        tokenizer.enable_truncation(limit)
    tokenizer.save(str(path))
    return path
