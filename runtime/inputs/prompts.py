"""Prompts are the texts whose similarity to an image is explained, as if they were classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ClassError, InputError
from ..session.session import Session, Tensors
from ..settings import Activation, Similarity
from ..spec import Spec
from .bank import Bank, read_bank, unit

PromptNames: TypeAlias = str | Sequence[str]
BankFile: TypeAlias = Bank | str | Path


@dataclass(frozen=True, eq=False)
class Prompts:
    """What is explained of an artifact that takes embeddings of texts.

    Attributes:
        bank: The texts. Probabilities are over all of them.
        rows: Places of the explained texts in the bank; None: the `top` best of each image.
        top: How many, where there are no `rows`.
        how: How the artifact compares.
        activation: What makes probabilities of scores.
    """

    bank: Bank
    rows: list[int] | None
    top: int
    how: Similarity
    activation: Activation

    def selection(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the value of the artifact's selector for places [N or 1, K] in the bank."""
        return self.bank.vectors[rows]

    def choose(self, session: Session, feeds: Tensors) -> NDArray[np.int64]:
        """Return the places in the bank of what is explained, int64 [N or 1, K].

        Args:
            session: The artifact.
            feeds: Its inputs; to find the best of each image they run once, without gradients.
        """
        if self.rows is not None:
            return np.array([self.rows], np.int64)
        nothing = self.selection(np.zeros((1, 0), np.int64))
        run = {**feeds, session.spec.selector: nothing}
        (embeddings,) = session.run(run, [self.how.embedding]).values()
        return np.argsort(-self.scores(embeddings), axis=1, kind="stable")[:, : self.top]

    def scores(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of all texts of the bank, [N, texts], for embeddings [N, width]."""
        cosines = unit(embeddings.astype(np.float64)) @ self.bank.vectors.T.astype(np.float64)
        return self.how.scale * cosines + (self.how.bias or 0.0)

    def probabilities(self, embedding: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return the probability of each text of the bank, for one image's embedding [width].

        None where the scores are no alternatives: for the softmax of a single text.
        """
        (scores,) = self.scores(embedding[None])
        if self.activation == "sigmoid":
            return np.exp(-np.logaddexp(0, -scores)).astype(np.float32)
        if self.activation == "none" or len(scores) < 2:
            return None
        powers = np.exp(scores - scores.max())
        return (powers / powers.sum()).astype(np.float32)


def choose_prompts(
    session: Session, prompts: PromptNames | None, bank: BankFile | None, top: int
) -> Prompts | None:
    """Return the prompts of a request for an artifact that takes embeddings of texts.

    None for an artifact without, and where the caller feeds embeddings.

    Args:
        session: The artifact.
        prompts: Names of the bank; None: the ``top`` best.
        bank: The bank, or its file.
        top: See `Prompts`.

    Raises:
        InputError: The bank is missing, no bank, or that of another model, or has no such name.
        ClassError: ``top`` is larger than the bank.
    """
    spec, name = session.spec, session.path.name
    names = None if prompts is None else [prompts] if isinstance(prompts, str) else list(prompts)
    if names is not None and not names:
        raise InputError("no prompts; give one name or more, or leave prompts out for the best")
    if spec.score.has_bank:
        if bank is not None:
            raise InputError(f"{name} has a bank of its own; leave the bank (--bank) out")
        return None  # they are its classes
    how = spec.score.similarity
    if how is None:
        if names is not None or bank is not None:
            raise InputError(
                f"{name} takes no prompts: its score is a {spec.score.kind} of "
                f"'{spec.score.output}'; export it with score='similarity' (--score similarity)"
            )
        return None
    if bank is None:
        if names is None:
            return None
        raise InputError(
            f"{name} compares images with embeddings of texts, and has none of {names}; give the "
            "bank that `graftcam prompts` made (--bank), or --text-encoder and --tokenizer"
        )
    found = read_bank(bank)
    check_bank(spec, name, found)
    if names is None and not 1 <= top <= len(found.names):
        raise ClassError(f"top={top} is out of range; the bank has {len(found.names)} names")
    rows = None if names is None else found.rows(names)
    return Prompts(found, rows, top, how, spec.score.activation)


def check_bank(spec: Spec, name: str, bank: Bank) -> None:
    """Raise InputError if a bank is not that of an artifact's model."""
    how = spec.score.similarity
    assert how is not None
    if bank.width != how.width:
        raise InputError(
            f"the bank's embeddings have {bank.width} numbers, and '{how.embedding}' of {name} has "
            f"{how.width}; make the bank with the text encoder of that model (`graftcam prompts`)"
        )
    own, other = how.text_encoder, bank.text_encoder
    if own and other and own != other:
        raise InputError(
            f"the bank was made by text encoder {other[:12]}, and {name} belongs to {own[:12]}; "
            "make it again with `graftcam prompts`"
        )


def unchecked(spec: Spec, bank: Bank) -> str | None:
    """Say what shows that a bank belongs to an artifact, where only the same width does."""
    how = spec.score.similarity
    if how is None or bank.width != how.width or (how.text_encoder and bank.text_encoder):
        return None
    whose = "the artifact" if not how.text_encoder else "the bank"
    return (
        f"{whose} does not record its text encoder: only the width of the embeddings, "
        f"{how.width}, was compared"
    )
