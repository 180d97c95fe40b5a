"""Which grid a number of tokens stands on."""

from __future__ import annotations

import pytest

from graftcam.exporter.locate.layout import token_grids

GRIDS = [(56, 42), (14, 14), (4, 4), (3, 3)]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (196, ((14, 14), 0)),
        (197, ((14, 14), 1)),
        (201, ((14, 14), 5)),
        (213, None),  # 17 tokens before a grid are too many
        (20, ((4, 4), 4)),
        (25, ((4, 4), 9)),
        (49, ((7, 7), 0)),  # every second place of 14 x 14
        (2352, ((56, 42), 0)),
    ],
)
def test_the_largest_grid_that_leaves_a_few_tokens_over(
    tokens: int, expected: tuple[tuple[int, int], int] | None
) -> None:
    assert next(iter(token_grids(tokens, GRIDS)), None) == expected


def test_no_more_tokens_stand_before_a_grid_than_on_it() -> None:
    """EfficientViM has 25 states beside a grid of 3 x 3."""
    assert token_grids(18, [(3, 3)]) == [((3, 3), 9)]
    assert token_grids(25, [(3, 3)]) == []


def test_patches_of_the_image_are_a_grid_of_their_own() -> None:
    assert token_grids(30, [], (160, 192))[0] == ((5, 6), 0)
    assert token_grids(31, [], (160, None)) == []
