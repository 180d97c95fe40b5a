"""`open_checked` opens files only if they are as they were exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .session import Session


def open_checked(path: Path, open_file: Callable[[Path], Session]) -> Callable[[Path], Session]:
    """Compare an artifact with its digests, and return a function that does so with its heads.

    Args:
        path: The artifact.
        open_file: Opens a file.

    Returns:
        A function that opens a head.

    Raises:
        CustodyError: The artifact changed after its export, or has no digests.
    """
    from ..custody.digests import check_digests  # only if it is needed, so that loading stays fast

    digests = check_digests(path)
    assert digests is not None

    def open_head(head: Path) -> Session:
        digests.check_head(head)
        return open_file(head)

    return open_head
