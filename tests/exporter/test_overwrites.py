"""`export` and `shrink` replace nothing that they read; what they refuse, they refuse at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from graftcam.exporter import WriteError, export
from graftcam.exporter.shrink import shrink
from support.exports import to_onnx
from support.nets import Tiny, seeded


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model in one file."""
    return to_onnx(seeded(Tiny()), tmp_path_factory.mktemp("plain") / "plain.onnx").read_bytes()


@pytest.fixture
def folder(plain: bytes, tmp_path: Path) -> Path:
    """``plain.onnx``, ``beside.onnx`` with weights in ``weights.bin``, labels, and a link."""
    (tmp_path / "plain.onnx").write_bytes(plain)
    onnx.save(
        onnx.load(tmp_path / "plain.onnx"), tmp_path / "beside.onnx", save_as_external_data=True,
        location="weights.bin", size_threshold=80,
    )  # fmt: skip
    (tmp_path / "names.txt").write_text("\n".join("abcdef"))
    (tmp_path / "link.onnx").symlink_to("plain.onnx")
    return tmp_path


CASES: dict[str, Callable[[Path], Any]] = {
    "source": lambda at: export(at / "plain.onnx", at / "plain.onnx"),
    "source as text": lambda at: export(str(at / "plain.onnx"), str(at / "plain.onnx")),
    "link": lambda at: export(at / "plain.onnx", at / "link.onnx"),
    "source by its link": lambda at: export(at / "link.onnx", at / "plain.onnx"),
    "weights": lambda at: export(at / "beside.onnx", at / "weights.bin"),
    "weights of the artifact": lambda at: export(
        at / "plain.onnx", at / "names", labels=at / "names.data"
    ),
    "labels": lambda at: export(at / "plain.onnx", at / "names.txt", labels=at / "names.txt"),
    "report": lambda at: export(at / "plain.onnx", at / "new.onnx", report=at / "report"),
    "shrink": lambda at: shrink(at / "plain.onnx", at / "link.onnx", "int8", []),
    "shrink over an image": lambda at: shrink(
        at / "plain.onnx", at / "names.txt", "int8", [at / "names.txt"]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nothing_that_is_read_is_replaced(folder: Path, case: Callable[[Path], Any]) -> None:
    (folder / "names.data").write_text("\n".join("abcdef"))
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("the page of something else")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(WriteError, match=r"cannot write .*(input|its index.html is no report)"):
        case(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_head_is_not_written_over_the_source(folder: Path) -> None:
    source = (folder / "plain.onnx").rename(folder / "m.head.onnx")
    before = source.read_bytes()
    with pytest.raises(WriteError, match=r"cannot write .*m.head.onnx: it is an input"):
        export(source, folder / "m.onnx", layers="relu1", extras="head")
    assert source.read_bytes() == before
    assert not (folder / "m.onnx").exists()


def test_an_artifact_and_a_report_replace_earlier_ones(folder: Path) -> None:
    for name in ("first", "second"):
        export(
            folder / "plain.onnx", folder / "m.onnx", layers="relu1", name=name, verify="off",
            report=folder / "report",
        )  # fmt: skip
    assert "second" in (folder / "report" / "index.html").read_text()
