"""This module compares embeddings with those of texts in PyTorch."""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity

from ....runtime.spec import ScoreRecord
from ...artifact.bank_of import bank_of
from ..runs.artifact import Artifact


def texts_of(artifact: Artifact) -> torch.Tensor | None:
    """The texts' embeddings in an artifact's graph, [texts, width]; None where they are fed."""
    bank = bank_of(artifact.path, artifact.spec)
    return None if bank is None else torch.tensor(bank.vectors, dtype=torch.float64)


def similarities(embeddings: torch.Tensor, texts: torch.Tensor, score: ScoreRecord) -> torch.Tensor:
    """How similar embeddings [N, width] are to texts [K, width] or [N or 1, K, width]: [N, K]."""
    how = score.similarity
    assert how is not None
    texts = texts.to(embeddings.dtype)
    texts = texts[None] if texts.dim() == 2 else texts
    return how.scale * cosine_similarity(embeddings[:, None], texts, dim=2) + (how.bias or 0.0)
