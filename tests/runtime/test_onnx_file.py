"""What an ONNX file says is checked before a library opens it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import SessionError
from graftcam.runtime.onnx_file.check import check_file
from graftcam.runtime.onnx_file.functions import MOST_NODES
from graftcam.runtime.onnx_file.protobuf import read_varint
from support.artifacts import write_artifact
from support.cli import refuse
from support.hostile import TENSORS, calls, laughs, outside
from support.onnx_bytes import field

ELSEWHERE = "is no place in its own folder; keep weights in a file beside the model"
ATTACKS = {
    "an absolute path": (outside("/etc/hostname"), ELSEWHERE),
    "a way up": (outside("../secret.bin"), ELSEWHERE),
    "a way up behind a folder": (outside("sub/../../secret.bin"), ELSEWHERE),
    "a way up on Windows": (outside("..\\secret.bin"), ELSEWHERE),
    "a drive": (outside("C:\\secret.bin"), ELSEWHERE),
    "an address": (outside("file:///etc/hostname"), ELSEWHERE),
    "no path": (outside(""), ELSEWHERE),
    "a link out": (outside("link.bin"), "'link.bin', a link out of its own folder"),
    "a folder": (outside("sub"), "'sub', which is no file"),
    "a pipe": (outside("pipe"), "'pipe', which is no file"),
    "a link to itself": (outside("circle"), "'circle', which is missing"),
    "nothing": (outside("none.bin"), "'none.bin', which is missing; put the whole file beside"),
    "beyond the end": (outside("own.bin", offset="60"), "'own.bin', which is truncated"),
    "more than there is": (outside("own.bin", shape=[1 << 40]), "'own.bin', which is truncated"),
    "another length": (outside("own.bin", length="8"), "has 8 bytes for tensor 'stolen'.* take 16"),
    "a negative offset": (outside("own.bin", offset="-4"), "has the offset '-4' for tensor"),
    "a long offset": (outside("own.bin", offset="9" * 5000), "has the offset '9999"),
    "a negative extent": (outside("own.bin", shape=[-4]), r"of type 1 and shape \[-4\]"),
    "strings": (outside("own.bin", kind=8), "of type 8 and shape"),
    "two places": (
        outside("own.bin") + field(13, field(1, "location") + field(2, "/etc/hostname")),
        "says twice where the numbers",
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an artifact, files beside it, and a secret outside."""
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    own = tmp_path / "own"
    (own / "sub").mkdir(parents=True)
    (own / "own.bin").write_bytes(bytes(64))
    (own / "link.bin").symlink_to("../secret.bin")
    (own / "circle").symlink_to("circle")
    os.mkfifo(own / "pipe")
    write_artifact(own / "m.onnx")
    return own


def add(path: Path, more: bytes) -> Path:
    path.write_bytes(path.read_bytes() + more)
    return path


@pytest.mark.parametrize(("tensor", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_weights_elsewhere_are_refused(folder: Path, tensor: bytes, reason: str) -> None:
    path = add(folder / "m.onnx", TENSORS["an initializer"](tensor))
    with pytest.raises(SessionError, match=reason) as caught:
        check_file(path, SessionError)
    assert str(caught.value).startswith("m.onnx ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("place", TENSORS.values(), ids=TENSORS)
def test_wherever_the_tensor_stands(folder: Path, place: Callable[[bytes], bytes]) -> None:
    path = add(folder / "m.onnx", place(outside("/etc/hostname")))
    with pytest.raises(SessionError, match=ELSEWHERE):
        check_file(path, SessionError)


def test_a_tensor_in_two_parts_is_read_as_protobuf_joins_it(folder: Path) -> None:
    """The place alone is refused as well: the rest may follow."""
    whole = outside("/etc/hostname")
    start = field(
        7, field(1, field(5, field(1, "value") + field(5, whole[:-2]) + field(5, whole[-2:])))
    )
    with pytest.raises(SessionError, match=ELSEWHERE):
        check_file(add(folder / "m.onnx", start), SessionError)


def test_one_gate_for_sessions_and_commands(folder: Path, tmp_path: Path) -> None:
    path = add(folder / "m.onnx", TENSORS["an initializer"](outside("../secret.bin")))
    with pytest.raises(SessionError, match=ELSEWHERE):
        Explainer(path)
    for command in (
        ("inspect", path),
        ("explain", path, folder / "own.bin", "-o", tmp_path / "out"),
        ("optimize", path, "-o", tmp_path / "fast.onnx"),
        ("package", path, "--triton", "-o", tmp_path / "models"),
    ):
        assert ELSEWHERE in refuse(*command)
    assert {one.name for one in tmp_path.iterdir()} == {"own", "secret.bin"}


def test_weights_beside_the_model_are_named(folder: Path) -> None:
    (folder / "sub" / "more.bin").write_bytes(bytes(64))
    (folder / "linked.bin").symlink_to("own.bin")
    more = (
        outside("own.bin", offset="16", length="16"),
        outside("sub/more.bin", shape=[], kind=7),
        outside("linked.bin", shape=[0]),
    )
    path = add(folder / "m.onnx", b"".join(map(TENSORS["an initializer"], more)))
    assert {*check_file(path, SessionError)} == {"own.bin", "sub/more.bin", "linked.bin"}


def test_a_model_in_a_cache_is_a_link_beside_links(folder: Path, tmp_path: Path) -> None:
    """As hubs keep it: both lead to a folder of blobs."""
    path = add(folder / "m.onnx", TENSORS["an initializer"](outside("m.onnx_data")))
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "m.onnx").symlink_to(path)
    (snapshot / "m.onnx_data").symlink_to(folder / "own.bin")
    assert check_file(snapshot / "m.onnx", SessionError) == ["m.onnx_data"]


def test_the_same_bytes_again_and_again_are_refused(folder: Path) -> None:
    more = TENSORS["an initializer"](outside("own.bin", shape=[16]))
    assert check_file(add(folder / "m.onnx", 4 * more), SessionError)
    with pytest.raises(SessionError, match="has 320 bytes of tensors in files of 64 bytes"):
        check_file(add(folder / "m.onnx", more), SessionError)


FUNCTIONS = {
    "a billion laughs": (laughs(30), f"has functions that make .*, more than {MOST_NODES} in 30"),
    "a deep nesting": (laughs(40, 1, branch=True), "in 31 graphs inside each other"),
    "a circle": (calls("F", "G") + calls("G", "F"), "functions that call themselves: '[FG] -> "),
    "itself": (calls("F", "F"), "functions that call themselves: 'F -> F'"),
    "one name": (calls("F", "Relu") + calls("F", "Abs"), "has two functions of one name"),
}


@pytest.mark.parametrize(("functions", "reason"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_that_grow_without_end_are_refused_at_once(
    folder: Path, functions: bytes, reason: str
) -> None:
    since = time.perf_counter()
    with pytest.raises(SessionError, match=reason):
        check_file(add(folder / "m.onnx", functions), SessionError)
    assert time.perf_counter() - since < 2


def test_functions_of_a_sane_size_pass(folder: Path) -> None:
    assert check_file(add(folder / "m.onnx", laughs(14)), SessionError) == []


def test_graphs_inside_each_other_end_somewhere(folder: Path) -> None:
    graph = b""
    for _ in range(60):
        graph = field(1, field(5, field(1, "body") + field(6, graph)))
    with pytest.raises(SessionError, match="nested deeper than 100 messages"):
        check_file(add(folder / "m.onnx", field(7, graph) + laughs(2)), SessionError)


def test_what_is_no_file_is_not_opened(folder: Path) -> None:
    with pytest.raises(SessionError, match="it is a named pipe; give a regular file"):
        check_file(folder / "pipe", SessionError)


def test_a_number_ends_after_ten_bytes() -> None:
    with pytest.raises(ValueError, match="does not end"):
        read_varint(memoryview(b"\x80" * 1_000_000), 0)
    assert read_varint(memoryview(b"\xff" * 9 + b"\x01"), 0) == ((1 << 64) - 1, 10)
