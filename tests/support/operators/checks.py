"""The checks that every case must pass."""

from __future__ import annotations

from functools import cache
from itertools import chain, combinations

import numpy as np
import onnx
import onnx_ad

from graftcam.exporter.graph.profiles import ProfileName
from support.operators.harness import (
    DIFFERENCES,
    Array,
    Arrays,
    Case,
    Model,
    assert_close,
    error,
    finite_differences,
    graft,
    idle_nodes,
    output_shape,
    run_ort,
    run_reference,
    seeds,
    session,
    torch_vjp,
)

CLASSES = (0, 1, 3)


@cache
def truth(case: Case, batch: int) -> tuple[Array, Arrays]:
    """Three cotangents and their gradients by PyTorch (or finite differences)."""
    seed = seeds(max(CLASSES), output_shape(case, batch))
    if case.twin is not None:
        return seed, torch_vjp(case, batch, seed)[1]
    assert not case.kink, "a case at a kink needs a twin"
    return seed, finite_differences(case, batch, seed)


def gradients(results: Arrays) -> Arrays:
    """The gradients among a graft's outputs."""
    return {k.removeprefix("grad_"): v for k, v in results.items() if k.startswith("grad_")}


def check_float32(
    case: Case,
    batches: tuple[int, ...],
    open_axes: tuple[int, ...],
    profile: ProfileName = "default",
) -> None:
    """One graph in ONNX Runtime, run for each batch size and number of classes."""
    made = graft(Model(case, np.float32, batches[0], open_axes), profile=profile)
    assert idle_nodes(made) == []
    runner = session(made.proto)
    for batch in batches:
        seed, right = truth(case, batch)
        for classes in CLASSES:
            got = gradients(run_ort(runner, {**case.feeds(batch), "seed": seed[:classes]}))
            expected = {name: gradient[:classes] for name, gradient in right.items()}
            what = f"batch {batch}, K = {classes}, axes {open_axes} open"
            assert_close(got, expected, case.float32, what)


def check_static_and_open(case: Case, profile: ProfileName = "default") -> None:
    """`check_float32` of all variants of a case."""
    for batch in case.batches:
        check_float32(case, (batch,), (), profile)
    if case.batched:
        for open_axes in case.open:
            check_float32(case, case.batches, open_axes, profile)


def check_float64(case: Case, profile: ProfileName = "default") -> None:
    """The adjoint in float64 against PyTorch and finite differences; see `Case.reference`."""
    batch = case.batches[-1]
    seed, right = truth(case, batch)
    feeds = {**case.feeds(batch), "seed": seed}
    if case.reference in ("all", "runtime"):
        proto = graft(Model(case, np.float64, batch), profile=profile).proto
        inexact = case.reference == "runtime"
        results = run_ort(session(proto), feeds) if inexact else run_reference(proto, feeds)
        tolerances = case.loose, DIFFERENCES
    else:
        made = graft(Model(case, np.float32, batch), profile=profile)
        results = run_ort(session(made.proto), feeds)
        tolerances = case.float32, case.float32
    if case.twin is not None:
        off = error(results["y"], torch_vjp(case, batch, seed)[0])
        assert off <= tolerances[0], f"the twin computes something else (off by {off:.2e})"
        assert_close(gradients(results), right, tolerances[0], "against PyTorch")
    if not case.kink and case.reference != "none":
        right = finite_differences(case, batch, seed)
        assert_close(gradients(results), right, tolerances[1], "against finite differences")


def check_expected(case: Case, profile: ProfileName = "default") -> None:
    """The gradient of the sum of ``y`` is exactly what the case says."""
    batch = case.batches[0]
    seed = np.ones((1, *output_shape(case, batch)))
    runner = session(graft(Model(case, np.float32, batch), profile=profile).proto)
    got = gradients(run_ort(runner, {**case.feeds(batch), "seed": seed}))
    for name, right in case.expected.items():
        np.testing.assert_array_equal(got[name][0], np.asarray(right, np.float32))


def check_lazy(case: Case) -> None:
    """A cotangent that is constant along axes gives what the same cotangent written out gives."""
    batch = case.batches[-1]
    shape = output_shape(case, batch)
    full = session(graft(Model(case, np.float32, batch)).proto)
    variants = ((), case.open[-1]) if case.batched else ((),)
    for spread in _spreads(len(shape)):
        narrow = seeds(2, [1 if axis in spread else extent for axis, extent in enumerate(shape)])
        wide = np.broadcast_to(narrow, (2, *shape))
        feeds = case.feeds(batch)
        right = gradients(run_ort(full, {**feeds, "seed": wide}))
        for open_axes in variants:
            made = graft(Model(case, np.float32, batch, open_axes), frozenset(spread))
            assert idle_nodes(made) == []
            got = gradients(run_ort(session(made.proto), {**feeds, "seed": narrow}))
            assert_close(got, right, case.float32, f"spread along {spread}, {open_axes} open")


def _spreads(rank: int) -> list[tuple[int, ...]]:
    """Each axis alone, all behind the second (space), all."""
    axes = tuple(range(rank))
    return list(dict.fromkeys(s for s in chain(combinations(axes, 1), [axes[2:], axes]) if s))


def check_selection(case: Case) -> None:
    """A one-hot cotangent, gathered from the weights, equals the same one written out."""
    for batch in case.batches:
        shape = output_shape(case, batch)
        full = session(graft(Model(case, np.float32, batch)).proto)
        for open_axes in ((), *case.open):
            made = graft(Model(case, np.float32, batch, open_axes), selected=True)
            assert idle_nodes(made) == []
            runner = session(made.proto)
            for classes in CLASSES:
                index = np.arange(classes * batch).reshape(classes, batch) % shape[-1]
                wide = (index[..., None] == np.arange(shape[-1])).astype(np.float64)
                feeds = case.feeds(batch)
                right = gradients(run_ort(full, {**feeds, "seed": wide}))
                got = gradients(run_ort(runner, {**feeds, "seed": index}))
                assert_close(got, right, case.float32, f"batch {batch}, K = {classes}")


def onnx_ad_vjp(case: Case, batch: int, seed: Array) -> Arrays:
    """What onnx-ad's adjoint of the float32 model gives in ONNX Runtime.

    Raises:
        Exception: Whatever onnx-ad, the ONNX checker or ONNX Runtime says where it is not covered.
    """
    model = Model(case, np.float32, batch).proto
    derived = onnx_ad.reverse(model, inputs=list(case.inputs), layout="onnx")
    onnx.checker.check_model(derived)
    results = run_ort(session(derived), {**case.feeds(batch), "adj_y": np.moveaxis(seed, 0, -1)})
    return {name: np.moveaxis(results[f"adj_{name}"], -1, 0) for name in case.inputs}
