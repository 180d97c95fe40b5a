"""A folder's images, and why a folder has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftcam.runtime.errors import ImageError
from graftcam.runtime.tools.jobs.find import find_images


def test_photographs_that_a_model_cannot_take_are_named_as_such(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.PNG", "c.txt"):
        (tmp_path / name).touch()
    assert find_images(tmp_path, tmp_path / "out") == (["a.jpg", "b.PNG"], 1)
    with pytest.raises(ImageError, match=r"2 photographs, .*--preprocess imagenet.*in \.npy$"):
        find_images(tmp_path, tmp_path / "out", (".npy",))
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.PNG").unlink()
    with pytest.raises(ImageError, match="takes \\(1 other files\\)"):
        find_images(tmp_path, tmp_path / "out", (".npy",))
