"""A file that changed after its export is found by its digests; the rest of it is left alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.custody import digests as module
from graftcam.runtime.custody.digests import (
    DIGESTS_KEY,
    check_digests,
    compare_digests,
    read_digests,
    record_heads,
    write_digests,
)
from graftcam.runtime.custody.entries import read_entry, read_spec, write_entries
from graftcam.runtime.custody.files import files_of
from graftcam.runtime.custody.fingerprint import fingerprint
from graftcam.runtime.errors import CustodyError, SpecError
from graftcam.runtime.onnx_file.protobuf import BYTES, field_of, fields
from graftcam.runtime.session.optimize import optimize
from graftcam.runtime.spec import METADATA_KEY
from support.artifacts import SCENE, spec, write_artifact
from support.cli import call, refuse, succeed
from support.paths import DATA
from support.tamper import flip_weight, replace

STRIDES = b"strides\x40\x08\x40\x08"
TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit of a weight": (flip_weight, "weights"),
    "an attribute": (lambda path: replace(path, STRIDES, STRIDES[:-1] + b"\x04"), "graph"),
    "another operator": (lambda path: replace(path, b"Relu", b"Tanh"), "graph"),
    "an output's name": (lambda path: replace(path, b"heatmap", b"heatmop", 2), "graph"),
    "another weight's name": (lambda path: replace(path, b"kernel", b"kernes", 2), "graph"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An artifact with digests, which a test may change."""
    made = write_artifact(tmp_path / "patches.onnx")
    write_digests(made)
    return made


@pytest.fixture
def with_heads(tmp_path: Path) -> Path:
    """An old artifact that got digests, with its two heads."""
    for one in (DATA / "spec1").glob("spec1-classifier*"):
        shutil.copy(one, tmp_path / one.name)
    heads = sorted(tmp_path.glob("*.head.*"))
    artifact = tmp_path / "spec1-classifier.onnx"
    for one in (artifact, *heads):
        write_digests(one)
    record_heads(artifact, heads)
    return artifact


def test_an_untouched_artifact_has_its_digests_and_runs(path: Path) -> None:
    assert [(one.subject, one.same) for one in compare_digests(path)] == [
        ("graph", True), ("weights", True),
    ]  # fmt: skip
    explainer = Explainer(path, check=True)
    assert explainer.spec == spec()
    assert explainer.explain(SCENE).labels == ["red"]
    assert "digests graph, weights: as exported" in succeed("inspect", path).stdout


@pytest.mark.parametrize(("change", "subject"), TAMPERED.values(), ids=TAMPERED)
def test_a_changed_part_is_named(path: Path, change: Callable[[Path], None], subject: str) -> None:
    change(path)
    changed = [one for one in compare_digests(path) if not one.same]
    assert subject in [one.subject for one in changed]
    assert f"the {subject} changed after the export (SHA-256 " in changed[0].reason
    with pytest.raises(CustodyError, match=rf"patches\.onnx: the {subject} changed after"):
        Explainer(path, check=True)


def test_inspect_fails_on_a_changed_artifact_but_shows_it(path: Path) -> None:
    flip_weight(path)
    result = call("inspect", path)
    assert result.exit_code == 1
    assert "digests graph: as exported" in result.stdout
    assert "the weights changed after the export" in result.stderr
    assert json.loads(call("inspect", path, "--json").stdout)["version"] == 1


def test_the_record_is_not_covered(path: Path) -> None:
    write_entries(path, {METADATA_KEY: spec(labels=["a", "b", "c", "d"]).to_json()})
    assert all(one.same for one in compare_digests(path))
    assert Explainer(path, check=True).spec.labels == ["a", "b", "c", "d"]


def test_an_artifact_without_digests_says_so(artifact: Path) -> None:
    assert read_digests(artifact) is None
    assert compare_digests(artifact) == []
    assert check_digests(artifact, required=False) is None
    text = succeed("inspect", artifact).stdout
    assert "\ndigests no digests: exported by an earlier version" in text
    with pytest.raises(CustodyError, match=r"has no digests: .*; export it again, or open it unch"):
        Explainer(artifact, check=True)


def test_without_check_nothing_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fingerprint", lambda *_: pytest.fail("it was read"))
    flip_weight(path)
    assert Explainer(path).explain(SCENE).classes


def test_heads_have_digests_in_their_artifact(with_heads: Path) -> None:
    names = ["spec1-classifier.head.r.onnx", "spec1-classifier.head.r2.onnx"]
    compared = compare_digests(with_heads)
    assert [one.subject for one in compared] == ["graph", "weights", *names]
    assert all(one.same for one in compared)
    assert [one.name for one in files_of(with_heads)] == [with_heads.name, *names]
    explainer = Explainer(with_heads, check=True)
    flip_weight(with_heads.with_name(names[0]))
    (changed,) = (one for one in compare_digests(with_heads) if not one.same)
    assert changed.subject == names[0]
    assert f"the head {names[0]} changed" in changed.reason
    image = SCENE[:8, :8]
    with pytest.raises(CustodyError, match=r"head\.r\.onnx is not the head that its artifact was"):
        explainer.explain(image, method="ablationcam", layer="r")
    assert explainer.explain(image, method="ablationcam", layer="r2").maps.size
    with_heads.with_name(names[1]).unlink()
    assert compare_digests(with_heads)[-1].same is None
    with pytest.raises(CustodyError, match=r"has the head '.*r2\.onnx', which is no file beside"):
        files_of(with_heads)


def test_the_optimised_form_has_digests_of_its_own(with_heads: Path, tmp_path: Path) -> None:
    made = optimize(with_heads, tmp_path / "fast.onnx", "cpu").path
    assert all(one.same for one in compare_digests(made))
    before, after = read_digests(with_heads), read_digests(made)
    assert before is not None
    assert after is not None
    assert after.heads == before.heads
    assert after.graph != before.graph
    flip_weight(with_heads)
    with pytest.raises(CustodyError, match="the weights changed after the export"):
        optimize(with_heads, tmp_path / "again.onnx", "cpu")
    assert not (tmp_path / "again.onnx").exists()


def test_an_optimised_form_of_an_old_artifact_has_none(artifact: Path, tmp_path: Path) -> None:
    assert read_digests(optimize(artifact, tmp_path / "fast.onnx", "cpu").path) is None


def test_entries_change_and_nothing_else(path: Path) -> None:
    before, record = path.read_bytes(), read_entry(path, METADATA_KEY)
    write_entries(path, {"other": "x" * 300, METADATA_KEY: "short"})
    assert read_entry(path, METADATA_KEY) == "short"
    assert read_entry(path, "other") == "x" * 300
    assert read_entry(path, "missing") is None
    write_entries(path, {METADATA_KEY: record, "other": None})
    assert path.read_bytes() == before


def test_of_two_records_the_last_one_counts(path: Path) -> None:
    other = spec(labels=["a", "b", "c", "d"]).to_json()
    entry = field_of(1, METADATA_KEY.encode()) + field_of(2, other.encode())
    path.write_bytes(path.read_bytes() + field_of(14, entry))
    assert read_spec(path) == Explainer(path).spec
    assert read_spec(path).labels == ["a", "b", "c", "d"]


DAMAGED = {
    "no JSON": ("{", "has damaged digests"),
    "a list": ("[]", "has digests of version None"),
    "a newer version": ('{"version":2}', "digests of version 2, this runtime knows 1; upgrade"),
    "a field too few": ('{"version":1,"graph":"00"}', "has damaged digests"),
    "another type": ('{"version":1,"graph":1,"heads":{},"weights":""}', "has damaged digests"),
    "nested deeply": ("[" * 100_000, "has damaged digests"),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_digests_are_refused(path: Path, text: str, message: str) -> None:
    write_entries(path, {DIGESTS_KEY: text})
    with pytest.raises(CustodyError, match=message) as caught:
        compare_digests(path)
    assert "\n" not in str(caught.value)


def nested(levels: int) -> bytes:
    """A model of branches within branches."""
    graph = b""
    for _ in range(levels):
        graph = field_of(
            1, field_of(4, b"If") + field_of(5, field_of(1, b"g") + field_of(6, graph))
        )
    return field_of(7, graph)


BROKEN = {
    "empty": (b"", "it is empty"),
    "text": (b"no model at all", "as ONNX"),
    "ends in a field": (b"\x3a\x7f\x0a", "ends within a field"),
    "ends in a number": (b"\x3a\x80", "ends within a field"),
    "a number without an end": (b"\x80" * 1_000_000, "does not end"),
    "nested deeply": (nested(200), "nested more than 100 deep"),
    "weights nowhere": (
        field_of(7, field_of(5, b"\x10\x01" + field_of(8, b"w") + b"\x70\x01" + field_of(
            13, field_of(1, b"location") + field_of(2, b"../secret")
        ))),
        r"stores tensor 'w' in '\.\./secret', which is no place in its own folder",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"1234")
    path = folder / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(CustodyError, match=message) as caught:
        fingerprint(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(CustodyError, match=r"cannot read .*no\.onnx: No such file"):
        fingerprint(folder / "no.onnx")
    (folder / "pipe").mkdir()
    with pytest.raises(CustodyError, match="cannot read"):
        read_entry(folder / "pipe", METADATA_KEY)


def test_a_model_of_too_many_fields_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftcam.runtime.custody.fingerprint._MOST", 100)
    with pytest.raises(CustodyError, match="it has more than 100 fields"):
        fingerprint(path)


def test_a_model_without_a_record_is_no_artifact(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "m.onnx", metadata="")
    with pytest.raises(SpecError, match="has no graftcam metadata"):
        files_of(path)
    assert "no such file" in refuse("inspect", tmp_path / "no.onnx")


def test_fields_lie_where_a_message_says() -> None:
    inner = field_of(1, b"one") + field_of(2, b"two")
    data = memoryview(field_of(5, inner) + field_of(6, b"rest"))
    outer = list(fields(data))
    assert [(one.number, one.kind) for one in outer] == [(5, BYTES), (6, BYTES)]
    inside = fields(data, outer[0].start, outer[0].end)
    assert [bytes(data[one.start : one.end]) for one in inside] == [b"one", b"two"]


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    said = refuse("sign", path, "--key", path)
    assert said.endswith('model_signing missing; signatures need: pip install "graftcam[sign]"')
