"""Only regular files of bounded size are opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from graftcam.runtime.errors import ImageError, InputError
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.score_weights import read_weights
from graftcam.runtime.inputs.tensor_files import read_tensor
from graftcam.runtime.inputs.token_table import read_tokens
from graftcam.runtime.reading import read_file


def refusal(path: str | Path, most: int = 100) -> str:
    with pytest.raises(InputError) as caught:
        read_file(path, InputError, most)
    return str(caught.value)


def test_a_file_is_read_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b", InputError, 5) == b"12345"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with a name")
def test_pipes_devices_and_sockets_are_refused_and_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    assert "it is a named pipe; give a regular file" in refusal(pipe)
    assert "it is a device" in refusal("/dev/zero")
    with socket.socket(socket.AF_UNIX) as open_socket, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)  # the address of a socket must be short
        open_socket.bind("s")
        assert "it is a socket" in refusal("s")
    with pytest.raises(ImageError, match="named pipe"):
        read_image(pipe)
    for suffix in (".npy", ".npz", ".wav", ".nii.gz"):
        os.mkfifo(tmp_path / f"a{suffix}")
        with pytest.raises(InputError, match="named pipe"):
            read_tensor(tmp_path / f"a{suffix}")
    with pytest.raises(InputError, match=r"cannot read weights from .*: it is a named"):
        read_weights(tmp_path / "a.npy")
    with pytest.raises(InputError, match="named pipe"):
        read_tokens(pipe)


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: nothing of it is on the disk
    assert "it has 1,099,511.6 MB, and at most 0.0 MB are read" in refusal(path)
    for suffix in (".png", ".npy", ".npz", ".wav", ".nii"):
        hole = path.with_suffix(suffix)
        with hole.open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises((ImageError, InputError), match="are read; give a smaller file"):
            read_image(hole) if suffix == ".png" else read_tensor(hole)


def test_paths_that_no_system_takes_are_refused(tmp_path: Path) -> None:
    assert "cannot read" in refusal("a\0b")
    assert "cannot read" in refusal(tmp_path / ("n" * 300))
    assert "cannot read" in refusal("\ud800")
    assert "Is a directory" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "none")
