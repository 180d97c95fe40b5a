"""Exports store digests that survive another save of the same model, and show every change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper, parser

from graftcam.exporter import export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.errors import GraftcamError
from graftcam.exporter.graph import external_data
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.shrink import shrink
from graftcam.exporter.verify.checks.digests import check_digests
from graftcam.exporter.verify.verdict.findings import Verdict
from graftcam.runtime.custody.digests import DIGESTS_KEY, compare_digests, read_digests
from graftcam.runtime.custody.entries import read_entry
from graftcam.runtime.custody.fingerprint import Fingerprint, fingerprint
from graftcam.runtime.errors import CustodyError
from support.nets import Tiny, seeded
from support.tamper import flip, flip_weight

EXAMPLE = (torch.zeros(1, 3, 8, 8),)
TEXT = """<ir_version: 10, opset_import: ["" : 18, "own" : 1]>
net (float[N, 2] x, bool flag) => (float[N, 2] y) <float[2] w = {1.0, 2.0}, float[2] b = {0.5, 3.0}>
{
    scaled = Mul(x, w)
    shifted = own.shift <by = 2.0> (scaled)
    y = If (flag) <
        then_branch = yes () => (float[N, 2] a) <float[2] inner = {7.0, 8.0}> { a = Add(shifted, inner) },
        else_branch = no () => (float[N, 2] c) { c = Gemm <alpha = 0.5> (shifted, k, b) } >
}
<domain: "own", opset_import: ["" : 18]>
shift <by> (v) => (out)
{
    amount = Constant <value_float: float = @by> ()
    out = Add(v, amount)
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """A model with a function, branches, weights in both, and comments."""
    made = parser.parse_model(TEXT)
    raw = numpy_helper.from_array(np.arange(4, dtype=np.float32).reshape(2, 2), "k")
    made.graph.initializer.append(raw)
    return made


def saved(model: onnx.ModelProto, path: Path) -> Fingerprint:
    path.write_bytes(model.SerializeToString())
    return fingerprint(path)


def edited(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    change(other)
    return other


def comment(model: onnx.ModelProto) -> None:
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "on Tuesday"
    model.producer_name, model.model_version = "somebody", 3
    model.graph.node[0].name = "first"
    model.graph.name = "another"
    helper.set_model_props(model, {"a": "b"})


def infer(model: onnx.ModelProto) -> None:
    model.CopyFrom(onnx.shape_inference.infer_shapes(model))
    assert model.graph.value_info


def reorder(model: onnx.ModelProto) -> None:
    model.graph.initializer.reverse()
    model.opset_import.reverse()
    model.graph.node[2].attribute.reverse()


@pytest.mark.parametrize("change", [comment, infer, reorder])
def test_what_has_no_meaning_does_not_count(
    model: onnx.ModelProto, change: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    assert saved(edited(model, change), tmp_path / "b.onnx") == saved(model, tmp_path / "a.onnx")


def test_the_place_of_weights_does_not_count(model: onnx.ModelProto, tmp_path: Path) -> None:
    plain = saved(model, tmp_path / "a.onnx")
    beside = tmp_path / "beside.onnx"
    onnx.save(edited(model, lambda _: None), beside, save_as_external_data=True, location="w.bin",
              size_threshold=0, convert_attribute=True)  # fmt: skip
    found = fingerprint(beside)
    assert (found.graph, found.weights, found.files) == (plain.graph, plain.weights, ("w.bin",))
    flip(tmp_path / "w.bin", 0)
    assert fingerprint(beside).weights != plain.weights
    (tmp_path / "w.bin").write_bytes(b"123")
    with pytest.raises(CustodyError, match=r"weights in 'w\.bin', which is truncated"):
        fingerprint(beside)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(
        CustodyError, match=r"'w\.bin', which is missing; put the whole file beside"
    ):
        fingerprint(beside)


CHANGES: dict[str, Callable[[onnx.ModelProto], object]] = {
    "operator": lambda m: setattr(m.graph.node[0], "op_type", "Add"),
    "domain": lambda m: setattr(m.graph.node[0], "domain", "other"),
    "input of a node": lambda m: m.graph.node[0].input.__setitem__(1, "b"),
    "input left out": lambda m: m.graph.node[0].input.insert(0, ""),
    "number in a branch": lambda m: setattr(
        m.graph.node[2].attribute[1].g.node[0].attribute[0], "f", 0.25),
    "attribute of a call": lambda m: setattr(m.graph.node[1].attribute[0], "f", 3.0),
    "function's operator": lambda m: setattr(m.functions[0].node[1], "op_type", "Sub"),
    "function's opset": lambda m: setattr(m.functions[0].opset_import[0], "version", 19),
    "opset": lambda m: setattr(m.opset_import[0], "version", 19),
    "output's name": lambda m: setattr(m.graph.output[0], "name", "z"),
    "output's type": lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", 10),
    "input's extent": lambda m: setattr(
        m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 3),
    "order of nodes": lambda m: m.graph.node.reverse(),
    "an unknown field": lambda m: m.graph.MergeFromString(b"\xfa\x3e\x01x"),
}  # fmt: skip
WEIGHTS: dict[str, Callable[[onnx.ModelProto], object]] = {
    "raw bytes": lambda m: setattr(m.graph.initializer[2], "raw_data", b"\1" * 16),
    "listed numbers": lambda m: m.graph.initializer[0].float_data.__setitem__(0, 5.0),
    "shape": lambda m: m.graph.initializer[2].dims.__setitem__(slice(0, 2), [4, 1]),
    "type": lambda m: setattr(m.graph.initializer[2], "data_type", 6),
    "weight of a branch": lambda m: (
        m.graph.node[2].attribute[0].g.initializer[0].float_data.__setitem__(0, 5.0)),
    "swapped names": lambda m: (
        setattr(m.graph.initializer[0], "name", "b"), setattr(m.graph.initializer[1], "name", "w")),
    "one more": lambda m: m.graph.initializer.add(name="more"),
}  # fmt: skip


@pytest.mark.parametrize("change", [*CHANGES, *WEIGHTS])
def test_what_has_a_meaning_counts(model: onnx.ModelProto, change: str, tmp_path: Path) -> None:
    before = saved(model, tmp_path / "a.onnx")
    after = saved(edited(model, {**CHANGES, **WEIGHTS}[change]), tmp_path / "b.onnx")
    assert (before.graph == after.graph) is (change in WEIGHTS)
    assert (before.weights == after.weights) is (change in CHANGES)


def test_every_bit_counts(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Whatever bit of what has a meaning is flipped: the digests change, or nothing can be read."""
    bare = edited(model, lambda m: [m.graph.ClearField("name"), m.ClearField("ir_version")])
    for branch in bare.graph.node[2].attribute:
        branch.g.ClearField("name")
    data, path = bare.SerializeToString(), tmp_path / "m.onnx"
    before = saved(bare, path)
    same: list[int] = []
    for place in range(len(data)):
        other = bytearray(data)
        other[place] ^= 1
        path.write_bytes(other)
        try:
            found = fingerprint(path)
        except CustodyError:
            continue
        if found == before:
            same.append(place)
    assert same == []


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified artifact with a head; tests change copies only."""
    path = tmp_path_factory.mktemp("exported") / "m.onnx"
    export(seeded(Tiny()), path, EXAMPLE, layers="relu1", extras={"head"}, verify="full")
    return path


@pytest.fixture
def path(exported: Path, tmp_path: Path) -> Path:
    for one in exported.parent.iterdir():
        (tmp_path / one.name).write_bytes(one.read_bytes())
    return tmp_path / "m.onnx"


def states(path: Path) -> tuple[dict[str, str], Verdict]:
    """What `verify` says about the digests, by subject, and all that it says."""
    _, verdict = verify_artifact(path)
    return {one.subject: one.status for one in verdict.findings if one.check == "digests"}, verdict


def test_an_export_passes_with_its_digests_and_those_of_its_head(path: Path) -> None:
    found, verdict = states(path)
    assert found == {"graph": "pass", "weights": "pass", "m.head.onnx": "pass"}
    assert verdict.status == "pass"
    assert read_digests(path.with_name("m.head.onnx")) is not None
    path.with_name("m.head.onnx").unlink()
    assert [one.status for one in check_digests(path)] == ["pass", "pass", "skipped"]


def through_ir(path: Path) -> None:
    model = ir.load(path)
    model.producer_name = "somebody"
    ir.save(model, path)


def through_onnx(path: Path) -> None:
    model = onnx.load(path)
    model.producer_name = "somebody"
    onnx.save(model, path)


def through_files_beside(path: Path) -> None:
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0)


@pytest.mark.parametrize("save", [through_onnx, through_ir, through_files_beside])
def test_digests_survive_that_another_program_saves_the_model(
    path: Path, save: Callable[[Path], None]
) -> None:
    before = path.read_bytes()
    save(path)
    save(path.with_name("m.head.onnx"))
    compared = compare_digests(path)
    assert len(compared) == 3
    assert all(one.same for one in compared), compared
    assert path.read_bytes() != before


def change_attribute(path: Path) -> None:
    model = onnx.load(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    next(one for one in conv.attribute if one.name == "pads").ints[0] = 0
    onnx.save(model, path)


def rename_output(path: Path) -> None:
    model = onnx.load(path)
    name = model.graph.output[0].name
    node = next(node for node in model.graph.node if name in node.output)
    node.output[list(node.output).index(name)] = model.graph.output[0].name = "renamed"
    for reader in model.graph.node:
        reader.input[:] = ["renamed" if one == name else one for one in reader.input]
    onnx.save(model, path)


def swap_weights(path: Path) -> None:
    model = onnx.load(path)
    one, other = [w for w in model.graph.initializer if list(w.dims) in ([8], [12])][:2]
    one.name, other.name = other.name, one.name
    onnx.save(model, path)


TAMPERED = {
    "a bit of a weight": (flip_weight, "weights"),
    "an attribute": (change_attribute, "graph"),
    "an output's name": (rename_output, "graph"),
    "two weights for each other": (swap_weights, "weights"),
    "the head": (lambda path: flip_weight(path.with_name("m.head.onnx")), "m.head.onnx"),
}


@pytest.mark.parametrize(("change", "subject"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_artifact_fails_without_its_source(
    path: Path, change: Callable[[Path], None], subject: str
) -> None:
    change(path)
    found, verdict = states(path)
    assert found[subject] == "fail"
    assert verdict.by_check()["gradients"] == "skipped"
    assert [name for name, state in found.items() if state != "pass"] == [subject]


def test_weights_beside_an_artifact_are_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_data, "EMBED_LIMIT", 1000)
    monkeypatch.setattr(external_data, "SMALL", 100)
    path = tmp_path / "m.onnx"
    export(seeded(Tiny()), path, EXAMPLE, verify="off")
    assert fingerprint(path).files == ("m.onnx.data",)
    assert all(one.same for one in compare_digests(path))
    flip(tmp_path / "m.onnx.data", 5)
    assert states(path)[0] == {"graph": "pass", "weights": "fail"}


def test_the_plain_model_has_no_digests_of_the_artifact(path: Path, tmp_path: Path) -> None:
    write_plain(path, tmp_path / "plain.onnx")
    assert read_entry(tmp_path / "plain.onnx", DIGESTS_KEY) is None


def test_a_changed_artifact_is_not_shrunk(path: Path, tmp_path: Path) -> None:
    flip_weight(path)
    with pytest.raises(GraftcamError, match="the weights changed after the export"):
        shrink(path, tmp_path / "small.onnx", "float16", [])
