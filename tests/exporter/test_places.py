"""What the changes of a layer show of its places, when parts of the input are exchanged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graftcam.exporter.locate.arrangement import Arrangement
from graftcam.exporter.locate.exchange import measure
from graftcam.exporter.locate.places import Array

RNG = np.random.default_rng(3)
PATCHES = RNG.standard_normal((48, 8))
QUERIES = RNG.standard_normal((16, 8, 8))


def patches(image: Array, side: int = 4) -> Array:
    """Tokens of an image [1, 3, 16, 16], row by row."""
    cut = image.reshape(1, 3, side, 16 // side, side, 16 // side).transpose(0, 2, 4, 1, 3, 5)
    return np.tanh(cut.reshape(1, side * side, -1) @ PATCHES[: 768 // side**2])


def mixed(tokens: Array) -> Array:
    """Each token with a part of all: as attention does it."""
    return tokens + tokens.mean(1, keepdims=True)


def grid(rows: int, columns: int, prefix: int = 0) -> Arrangement:
    return Arrangement("tokens", (rows, columns), prefix)


LAYERS: dict[str, tuple[Callable[[Array], Array], list[Arrangement], Arrangement | None]] = {
    "row by row": (patches, [grid(4, 4)], grid(4, 4)),
    "with what all have in common": (lambda x: mixed(patches(x)), [grid(4, 4)], grid(4, 4)),
    "after a class token": (
        lambda x: np.concatenate([patches(x).mean(1, keepdims=True), patches(x)], 1),
        [grid(4, 4, 1)], grid(4, 4, 1)),
    "the right one of two grids": (
        lambda x: patches(x).reshape(1, 8, 2, 8).mean(2), [grid(2, 4), grid(4, 2)], grid(4, 2)),
    "sorted at random": (
        lambda x: patches(x)[:, np.random.default_rng(0).permutation(16)], [grid(4, 4)], None),
    "queries": (
        lambda x: np.einsum("qde,nte->nqd", QUERIES, np.tanh(patches(x))), [grid(4, 4)], None),
    "channels last": (
        lambda x: patches(x).reshape(1, 4, 4, 8),
        [Arrangement("channels_first", (4, 8)), Arrangement("channels_last", (4, 4))],
        Arrangement("channels_last", (4, 4))),
    "attention weights": (
        lambda x: np.einsum("nqd,nkd->nqk", patches(x), patches(x)).reshape(1, 2, 8, 16),
        [Arrangement("channels_first", (8, 16)), Arrangement("channels_last", (2, 8))], None),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_a_layout_is_shown_or_refuted(
    case: tuple[Callable[[Array], Array], list[Arrangement], Arrangement | None],
) -> None:
    layer, options, expected = case
    image = RNG.standard_normal((1, 3, 16, 16)).astype(np.float32)
    measured = measure(lambda x: {"layer": layer(x)}, image, np.random.default_rng(0))
    finding = measured["layer"].best(options)
    assert finding is not None
    if expected is None:
        assert finding.verdict != "shown"
    else:
        assert (finding.arrangement, finding.verdict) == (expected, "shown")


@pytest.mark.parametrize("order", ["alike", "sorted"])
def test_an_axis_that_says_nothing_does_not_refute_the_others(order: str) -> None:
    """Attention in windows as high as the grid; rows that are sorted do refute."""

    def layer(x: Array) -> dict[str, Array]:
        rows = patches(x).reshape(1, 4, 4, 8)
        if order == "sorted":
            return {"layer": rows[:, [2, 0, 3, 1]]}
        return {"layer": np.broadcast_to(rows.mean(1, keepdims=True), rows.shape)}

    image = RNG.standard_normal((1, 3, 16, 16)).astype(np.float32)
    measured = measure(layer, image, np.random.default_rng(0))
    last = Arrangement("channels_last", (4, 4))
    finding = measured["layer"].best([Arrangement("channels_first", (4, 8)), last])
    assert finding is not None
    assert finding.verdict == ("doubtful" if order == "alike" else "refuted")
    assert order == "sorted" or finding.arrangement == last


def test_the_axes_of_a_map_may_run_along_other_axes_of_the_input() -> None:
    """A spectrogram [N, time, mel] whose patches are [mel, time]."""

    def layer(x: Array) -> dict[str, Array]:
        return {"layer": patches(np.stack([x.transpose(0, 2, 1)] * 3, 1))}

    measured = measure(layer, RNG.standard_normal((1, 16, 16)), np.random.default_rng(0))
    finding = measured["layer"].best([grid(4, 4)])
    assert finding is not None
    assert (finding.verdict, finding.axes) == ("shown", (2, 1))


@pytest.mark.parametrize("turned", [False, True])
def test_a_sequence_has_its_channels_first_or_last(turned: bool) -> None:
    mix, wave = RNG.standard_normal((16, 16)), RNG.standard_normal((1, 16, 32))

    def layer(x: Array) -> dict[str, Array]:
        return {"layer": (mix @ x).transpose(0, 2, 1) if turned else mix @ x}

    first = Arrangement("channels_first", (16,) if turned else (32,))
    row = Arrangement("tokens", (32,) if turned else (16,))
    finding = measure(layer, wave, np.random.default_rng(0))["layer"].best([row, first])
    assert finding is not None
    assert (finding.arrangement, finding.verdict) == (row if turned else first, "shown")


def test_token_ids_are_exchanged_for_others_that_occur() -> None:
    table = RNG.standard_normal((9, 4))

    def layer(ids: Array) -> dict[str, Array]:
        assert ids.min() >= 0
        assert ids.max() <= 8
        return {"layer": mixed(table[ids])}

    measured = measure(layer, RNG.integers(2, 9, (1, 12)), np.random.default_rng(0))
    row = Arrangement("tokens", (None,))
    finding = measured["layer"].best([Arrangement("channels_first", (4,)), row])
    assert finding is not None
    assert (finding.arrangement, finding.verdict) == (row, "shown")


def test_a_layer_that_nothing_changes_shows_nothing() -> None:
    measured = measure(
        lambda _: {"layer": np.zeros((1, 16, 8))}, np.ones((1, 3, 16, 16)), np.random.default_rng(0)
    )
    assert measured["layer"].best([grid(4, 4)]) is None


def test_places_that_all_see_the_whole_input_are_told_from_too_few_to_judge() -> None:
    """As the last convolutions of a deep network do whose windows outgrow its input."""
    mixing = RNG.standard_normal((16, 16))

    def layer(x: Array) -> dict[str, Array]:
        whole = np.tanh(np.einsum("qt,ntc->nqc", mixing, patches(x)))
        return {"all": whole, "near": patches(x), "few": whole[:, :4]}

    image = RNG.standard_normal((1, 3, 16, 16)).astype(np.float32)
    measured = measure(layer, image, np.random.default_rng(0))
    found = {
        name: measured[name].best([grid(2, 2) if name == "few" else grid(4, 4)])
        for name in measured
    }
    assert {name: one and one.is_everywhere for name, one in found.items()} == {
        "all": True, "near": False, "few": False,
    }  # fmt: skip
