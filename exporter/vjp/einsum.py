"""Einstein sums: the cotangent of a factor is the sum over the others' and the output's indices."""

from __future__ import annotations

import string
from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import only_input, string_attribute
from .registry import Needed, vjp


def terms_of(equation: str) -> tuple[list[str], str]:
    """Indices of the factors and of the output.

    Without an arrow the output has, in alphabetical order, the indices that occur once.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    if arrow:
        return left.split(","), right
    letters = left.replace(",", "")
    return left.split(","), "".join(sorted(c for c in set(letters) if letters.count(c) == 1))


def _plain(node: ir.Node) -> str | None:
    equation = string_attribute(node, "equation", "")
    terms, out = terms_of(equation)
    if "." in equation:
        return f"equation={equation!r}: an ellipsis has no gradient rule; write its indices out"
    if any(len(set(term)) < len(term) for term in terms):
        return (
            f"equation={equation!r}: an index repeated in one factor has no gradient rule; mask or "
            "gather the diagonal before it"
        )
    if len(set(equation) & set(string.ascii_letters)) == len(string.ascii_letters):
        return f"equation={equation!r} leaves no letter for the classes; use fewer than 52"
    extents: dict[str, set[int]] = {}
    for term, value in zip([*terms, out], [*node.inputs, node.outputs[0]], strict=True):
        if value is None or value.shape is None:
            return "the rank of an input is unknown; write its shape into the model"
        for letter, extent in zip(term, dims_of(value), strict=True):
            if isinstance(extent, int):
                extents.setdefault(letter, set()).add(extent)
    if any(len(found) > 1 for found in extents.values()):
        return (
            f"equation={equation!r}: an extent of 1 that is broadcast has no gradient rule; "
            "squeeze it away before"
        )
    return None


@vjp("Einsum", since=12, check=_plain)
def einsum(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The Einstein sum of the cotangent and the other factors, over the indices a factor has not.

    Along an index that only this factor has, the cotangent is the same everywhere.
    """
    terms, out = terms_of(string_attribute(node, "equation", ""))
    k = next(letter for letter in string.ascii_letters if letter not in "".join([*terms, out]))
    results: list[Result] = []
    for index, (term, wanted) in enumerate(zip(terms, needed, strict=True)):
        if not wanted:
            results.append(None)
            continue
        others = [place for place in range(len(terms)) if place != index]
        seen = set(out).union(*(terms[place] for place in others))
        kept = "".join(letter for letter in term if letter in seen)
        equation = ",".join([k + out, *(terms[place] for place in others)]) + f"->{k}{kept}"
        factors = [only_input(node, place) for place in others]
        value = emit.op("Einsum", grad.value, *factors, equation=equation)
        spread = [axis for axis, letter in enumerate(term) if letter not in seen]
        if spread:
            value = emit.op("Unsqueeze", value, emit.ints([1 + axis for axis in spread]))
        results.append(Adjoint(value, spread=frozenset(spread)))
    return results
