"""This module lists the models of the zoo that may have attention, with few blocks each."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from . import zoo_models

_FAMILIES = ("timm", "transformers")
_CLASSIFIERS = ("vit_", "swin_", "maxvit_")  # of torchvision
_KEPT = 2  # blocks of a stage: its blocks are alike, and of windows every second one is shifted


@dataclass(frozen=True)
class Cut(zoo_models.Case):
    """A model with the first two blocks of each stage, where it runs with so few."""

    def build(self, seed: int = 0) -> nn.Module:
        """The model with random weights, in eval mode."""
        whole = super().build(seed).eval()
        cut = copy.deepcopy(whole)
        # From the inside out: a stage that is cut has no more than its first blocks.
        for path, module in reversed([*cut.named_modules()]):
            if not isinstance(module, nn.Sequential | nn.ModuleList):
                continue
            # A class of its own is made of other things than blocks.
            if type(module) in (nn.Sequential, nn.ModuleList) and _is_stage(module):
                setattr(cut.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2],
                        module[:_KEPT])  # fmt: skip
        try:
            with torch.no_grad():
                cut(torch.zeros(1, *self.shape))
        except Exception:  # what a model's own code raises has no base of its own
            return whole
        return cut


def _is_stage(module: nn.Sequential | nn.ModuleList) -> bool:
    kinds = {type(one).__name__ for one in module}
    return len(module) > _KEPT and len(kinds) == 1 and "Block" in kinds.pop()


def _fitted(case: zoo_models.Case) -> zoo_models.Case:
    if case.family == "transformers":  # these are small
        return case
    return Cut(case.family, case.model, case.size, case.options)


CASES = [
    _fitted(case)
    for case in zoo_models.CASES
    if case.family in _FAMILIES or case.model.startswith(_CLASSIFIERS)
]
