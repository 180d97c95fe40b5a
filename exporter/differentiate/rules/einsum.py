"""This rule differentiates Einstein sums: a factor's cotangent is again such a sum."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import identity


def terms_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Indices of the factors, which have these ranks, and of the output.

    Without an arrow the output has, in alphabetical order, the indices that occur once, behind
    those of an ellipsis. In ONNX an ellipsis has the same length in all factors that have one.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = left.replace(",", "").replace(".", "")
    if not arrow:
        dots = "..." if "." in left else ""
        right = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    more = [3 + rank - len(term) for term, rank in zip(terms, ranks, strict=True) if "." in term]
    free = "".join(c for c in string.ascii_letters if c not in equation)[: max(more, default=0)]
    return [term.replace("...", free) for term in terms], right.replace("...", free)


@dataclass(frozen=True)
class _Sum:
    """An Einstein sum.

    Attributes:
        terms: Indices of the factors, without ``dropped``.
        out: Indices of the output.
        whole: Indices of the factors, all of them.
        dropped: For each factor the indices along which it is broadcast from extent 1.
    """

    terms: list[str]
    out: str
    whole: list[str]
    dropped: list[str]


def _sum_of(node: ir.Node) -> _Sum:
    dims = [dims_of(only_input(node, index)) for index in range(len(node.inputs))]
    equation = node.attributes.get_string("equation", "")
    whole, out = terms_of(equation, [len(one) for one in dims])
    wide = {
        letter
        for term, extents in zip(whole, dims, strict=True)
        for letter, extent in zip(term, extents, strict=True)
        if extent != 1
    }
    dropped = [
        "".join(c for c, n in zip(term, extents, strict=True) if n == 1 and c in wide)
        for term, extents in zip(whole, dims, strict=True)
    ]
    terms = [
        "".join(c for c in term if c not in gone) for term, gone in zip(whole, dropped, strict=True)
    ]
    return _Sum(terms, out, whole, dropped)


def _spelled(node: ir.Node) -> str | None:
    if any(value is None or value.shape is None for value in node.inputs):
        return "the rank of an input is unknown; write its shape into the model"
    made, equation = _sum_of(node), node.attributes.get_string("equation", "")
    again = max(len(term) - len(set(term)) for term in made.terms)
    if len(set("".join([*made.whole, made.out]))) + again >= len(string.ascii_letters):
        return f"equation={equation!r} leaves no letter for the classes; sum in two steps"
    wide = {letter for gone in made.dropped for letter in gone}
    for letter, extent in zip(made.out, dims_of(node.outputs[0]), strict=True):
        if letter in wide and extent == 1:
            return f"equation={equation!r}: ONNX takes its broadcast axis for 1; Expand the factor"
    return None


@vjp("Einsum", since=12, check=_spelled)
def einsum(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The Einstein sum of the cotangent and the other factors, over the indices a factor has not.

    Along an index that only this factor has, the cotangent is the same everywhere. An index that
    it has twice takes the diagonal: an identity matrix puts the cotangent back onto it. A factor
    of extent 1 that is broadcast along an index does not have it.
    """
    made = _sum_of(node)
    return [
        _of_factor(node, g, made, index) if asked else None for index, asked in enumerate(needed)
    ]


def _of_factor(node: ir.Node, g: Cotangent, made: _Sum, index: int) -> Cotangent:
    emit = g.emit
    used = "".join([*made.whole, made.out])
    free = iter(c for c in string.ascii_letters if c not in used)
    k = next(free)
    others = [place for place in range(len(made.terms)) if place != index]
    factors = [_squeezed(emit, node, made, place) for place in others]
    given = [made.terms[place] for place in others]
    x, term = only_input(node, index), ""
    for axis, letter in enumerate(made.whole[index]):
        if letter in term and letter not in made.dropped[index]:
            again = next(free)
            factors.append(identity(emit, parts_of(x)[axis], x.dtype))
            given.append(letter + again)
            letter = again
        term += letter
    seen = set(made.out).union(*given) - set(made.dropped[index])
    remaining = "".join(letter for letter in term if letter in seen)
    equation = ",".join([k + made.out, *given]) + f"->{k}{remaining}"
    value = emit.op("Einsum", g.value, *factors, equation=equation)
    missing = [axis for axis, letter in enumerate(term) if letter not in seen]
    if missing:
        value = emit.op("Unsqueeze", value, [1 + axis for axis in missing])
    spread = frozenset(axis for axis in missing if term[axis] not in made.dropped[index])
    return g.with_value(value, spread)


def _squeezed(emit: Emitter, node: ir.Node, made: _Sum, index: int) -> ir.Value:
    """A factor without the axes that it is broadcast along."""
    value, gone = only_input(node, index), made.dropped[index]
    axes = [axis for axis, letter in enumerate(made.whole[index]) if letter in gone]
    return emit.op("Squeeze", value, axes, role="narrow") if axes else value
