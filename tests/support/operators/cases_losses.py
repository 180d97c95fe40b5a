"""Losses of class scores, with weights and ignored labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F  # noqa: N812

from support.operators.harness import Case, weights

LABELS = np.array([2, 0, 1])
PLACES = np.array([[2, 0, 1, 1], [0, 0, -1, 2]])
BY_CLASS = weights(3, low=0.5, high=1.5)
COUNTED = "the reference evaluator counts ignored labels in the mean"
TWINS: dict[str, Any] = {
    "SoftmaxCrossEntropyLoss": F.cross_entropy,
    "NegativeLogLikelihoodLoss": F.nll_loss,
}


def _loss(
    op_type: str, reduction: str, shape: tuple[int, ...], labels: np.ndarray,
    weighted: bool = False, ignore: int | None = None,
) -> Case:  # fmt: skip
    attributes = f'reduction="{reduction}"' + ("" if ignore is None else f", ignore_index={ignore}")
    more = {"ignore_index": -100 if ignore is None else ignore, "reduction": reduction}

    counted = op_type.startswith("Neg") and reduction == "mean" and not weighted and ignore == -1

    def plain(x: Any, t: Any) -> Any:
        return TWINS[op_type](x, t, **more)

    def by_class(x: Any, t: Any, w: Any) -> Any:
        return TWINS[op_type](x, t, weight=w, **more)

    return Case(
        f"{op_type}, {reduction}, {list(shape)}, weighted {weighted}, ignore {ignore}",
        f"y = {op_type}<{attributes}>(x, t{', w' if weighted else ''})", {"x": shape},
        by_class if weighted else plain,
        {"t": labels, **({"w": BY_CLASS} if weighted else {})},
        reference="none" if counted else "all", remark=COUNTED if counted else "",
    )  # fmt: skip


CASES = [
    _loss(op_type, reduction, shape, labels, weighted, ignore)
    for op_type in TWINS
    for reduction in ("none", "sum", "mean")
    for shape, labels, weighted, ignore in (
        ((3, 3), LABELS, False, None),
        ((3, 3), LABELS, True, 0),
        ((2, 3, 4), PLACES, False, -1),
        ((2, 3, 4), PLACES, True, -1),
    )
]
