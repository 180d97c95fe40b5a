"""`TextPair` compares where two artifacts look that compare images with texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..explainer import Explainer
from ..inputs.bank import Bank
from ..inputs.prompts import check_bank
from ..output.explanation import Explanation
from .diff import Pair


class TextPair(Pair):
    """Two artifacts, one or both of which take the texts of a bank as an input; see `Pair`.

    The bank's names are their classes. The other one may have a bank of its own, or classes of the
    same names.
    """

    def __init__(
        self,
        first: Explainer,
        second: Explainer,
        bank: Bank,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the bank.

        Raises:
            InputError: It is that of another model.
        """
        super().__init__(first, second, inputs)
        self.bank = bank
        for one in filter(takes_texts, (first, second)):
            check_bank(one.spec, one.path.name, bank)

    def explain_first(self, path: Path) -> Explanation:
        """See `Pair`."""
        if not takes_texts(self.first):
            return super().explain_first(path)
        return self.first.explain(path, bank=self.bank, inputs=self.inputs)

    def explain_second(self, path: Path, best: int | str) -> Explanation:
        """See `Pair`; the best text is not explained where probabilities say which it is."""
        if not takes_texts(self.second):
            return super().explain_second(path, best)
        names = [self.bank.names[best] if isinstance(best, int) else best]
        found = self.second.explain(path, prompts=names, bank=self.bank, inputs=self.inputs)
        if found.probabilities is not None or len(self.bank.names) == 1:
            return found
        own = self.second.explain(path, bank=self.bank, inputs=self.inputs)
        names.append(own.labels[0])
        return self.second.explain(path, prompts=names, bank=self.bank, inputs=self.inputs)

    def labels_of(self, explainer: Explainer) -> Sequence[str] | None:
        """See `Pair`."""
        return self.bank.names if takes_texts(explainer) else super().labels_of(explainer)


def takes_texts(explainer: Explainer) -> bool:
    """Whether an artifact takes embeddings of texts, so that its classes are those of a bank."""
    score = explainer.spec.score
    return score.kind == "similarity" and not score.has_bank
