"""`graftcam verify`: good artifacts pass, and each kind of wrong one fails with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from graftcam.exporter import TorchExport, VerificationError, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.verify.checks import finite
from graftcam.exporter.verify.checks.autograd import verify_module
from graftcam.exporter.verify.run_checks import Origin, run_checks
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.exporter.verify.runs.matrix import FULL
from graftcam.exporter.verify.verdict.findings import CHECKS, Verdict
from graftcam.exporter.verify.verdict.report import to_json
from graftcam.runtime.custody.digests import write_digests
from graftcam.runtime.custody.entries import read_spec
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec
from support.cli import call, refuse, succeed
from support.exports import make, to_onnx
from support.nets import Dense, Ending, Flat, Tiny, Tokens, seeded
from support.nets_scores import Prior
from support.paths import ROOT

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())
TRANSFORM = Preprocess("", [8, 8], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
LABELS = [f"kind {k}" for k in range(5)]
EXAMPLE = (torch.zeros(1, 3, 8, 8),)
LEVELS = {"all", "extended", "basic", "disable"}


INNER = {"layers": "body.0"}
FURTHER = ["layercam", "eigencam", "guided"]
# Models, and how they are exported; the last one as a file.
SUBJECTS: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "pool and linear": (Tiny(), {}),
    "gradient by place": (Flat(), INNER),
    "tokens": (Tokens(), {}),
    "softmax in the graph": (Ending(nn.Softmax(1)), {"layers": "relu1"}),
    "single logit": (Tiny(1), {}),
    "positions": (Dense(), {"layers": "act"}),
    "several layers": (Tiny(), {"layers": ["relu1", "relu2"]}),
    "float16": (Flat().half(), INNER),
    "fixed batch": (Flat(), {**INNER, "trace": TorchExport(dynamic_batch=False)}),
    "browser": (Flat(), {**INNER, "profile": "web"}),
    "further outputs": (Flat(), {**INNER, "extras": FURTHER}),
    "linear score": (Flat(), {**INNER, "score": "linear"}),
    "ONNX file": (Flat(), {}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Source, Any]]:
    """Source and report of a subject, exported at first use."""

    @cache
    def exported(name: str) -> tuple[Source, Any]:
        (model, options), folder = SUBJECTS[name], tmp_path_factory.mktemp("subject")
        example = torch.zeros(1, 3, 8, 8, dtype=next(model.parameters()).dtype)
        source = Source(seeded(model), "nets", (example,))
        if name == "ONNX file":
            source = Source(to_onnx(model, folder / "plain.onnx", opset_version=18), "plain")
        settings = {"verify": "off", "name": "nets", **options}
        return source, export(source.model, folder / "m.onnx", source.inputs, **settings)

    return exported


@pytest.mark.parametrize("name", SUBJECTS)
def test_good_artifacts_pass_every_check(made: Callable[..., Any], name: str) -> None:
    source, report = made(name)
    file, module = (source.model, None) if name == "ONNX file" else (None, source.model)
    origin = Origin(ir.load(report.path), file, module, source.inputs)
    verdict = run_checks(report.path, origin, full=True)
    assert verdict.failures == []
    statuses = verdict.by_check()
    skipped = {name for name, status in statuses.items() if status == "skipped"}
    unasked = {"drop-in", "classes"} if report.spec.classes is None else set[str]()
    assert skipped == ({"drop-in"} if report.spec.profile == "web" else unasked)
    elsewhere = {"runs", "source", "labels", "determinism", "agreement", "boxes", "digests"}
    assert set(statuses) == set(CHECKS) - elsewhere
    for check in ("gradients", "outputs"):
        assert {one.level for one in verdict.findings if one.check == check} == LEVELS


@pytest.mark.parametrize("name", ["further outputs", "browser", "ONNX file"])
def test_the_same_source_gives_the_same_bytes(made: Callable[..., Any], name: str) -> None:
    source, report = made(name)
    spec, verdict = verify_artifact(report.path, source)
    assert verdict.failures == []
    assert verdict.by_check()["source"] == "pass"
    assert verdict.by_check()["determinism"] == "pass"
    jsonschema.validate(json.loads(to_json(report.path, spec, "nets", verdict)), SCHEMA)


@pytest.mark.parametrize("name", ["gradient by place", "positions", "tokens"])
def test_without_a_source_the_artifacts_own_forward_part_serves(
    made: Callable[..., Any], name: str
) -> None:
    _, verdict = verify_artifact(made(name)[1].path)
    assert verdict.failures == []
    assert verdict.reference == "finite-differences"
    assert verdict.by_check()["determinism"] == "skipped"
    assert verdict.by_check()["source"] == "skipped"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Flat`, whose gradients depend on the image, with labels and preprocessing."""
    path = tmp_path_factory.mktemp("good") / "flat.onnx"
    make(Flat(), path, layers="body.0", labels=LABELS, preprocess=TRANSFORM, name="nets")
    return path


def producer(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (node,) = (node for node in model.graph.node if name in node.output)
    return node


def instead(model: onnx.ModelProto, output: str, op_type: str, *more: np.ndarray) -> None:
    """Put a node between an output and what makes it."""
    node = producer(model, output)
    inner = f"{output}_before"
    node.output[list(node.output).index(output)] = inner
    for other in model.graph.node:
        for place, name in enumerate(other.input):
            if name == output:
                other.input[place] = inner
    names = [inner]
    for array in more:
        names.append(f"{output}_{len(names)}")
        model.graph.initializer.append(numpy_helper.from_array(array, names[-1]))
    model.graph.node.append(helper.make_node(op_type, names, [output]))


def record(model: onnx.ModelProto, change: Callable[[Spec], Spec]) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = change(Spec.from_json(entry.value)).to_json()


def perturb_gradient(model: onnx.ModelProto) -> None:
    factor = np.ones((1, 1, 6, 8, 8), np.float32)
    factor[0, 0, 0] = 1.01
    instead(model, "gradients", "Mul", factor)


def freeze(model: onnx.ModelProto, output: str, *shape: int) -> None:
    """The same numbers for every input, in the output's shape."""
    node = producer(model, output)
    node.output[list(node.output).index(output)] = "before"
    frozen = np.random.default_rng(0).random(shape, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(frozen, "frozen"))
    model.graph.node.append(helper.make_node("Shape", ["before"], ["shape_before"]))
    model.graph.node.append(helper.make_node("Expand", ["frozen", "shape_before"], [output]))


def bake_gradient(model: onnx.ModelProto) -> None:
    """What an exporter does that runs PyTorch's backward pass once and keeps the numbers."""
    freeze(model, "gradients", 1, 1, 6, 8, 8)


def swap_classes(model: onnx.ModelProto) -> None:
    """Scores of the classes in the opposite order."""
    node = next(n for n in model.graph.node if n.op_type == "GatherElements" and "scores" in n.name)
    model.graph.initializer.append(numpy_helper.from_array(np.array(4), "last_class"))
    flip = helper.make_node("Sub", ["last_class", node.input[1]], ["swapped"])
    place = list(model.graph.node).index(node)
    node.input[1] = "swapped"
    model.graph.node.insert(place, flip)


def rename_classes(model: onnx.ModelProto) -> None:
    instead(model, "classes", "Sub", np.array(1))


def change_output(model: onnx.ModelProto) -> None:
    name = model.graph.output[0].name
    instead(model, name, "Add", np.array([0.01, 0, 0, 0, 0], np.float32))


def freeze_map(model: onnx.ModelProto) -> None:
    freeze(model, "heatmap", 1, 1, 8, 8)


def stale_weights(model: onnx.ModelProto) -> None:
    """An artifact of yesterday's weights: its record tells of others than the source has."""
    record(model, lambda spec: replace(spec, source={**spec.source, "weights_sha256": "0" * 64}))


def change_layer(model: onnx.ModelProto, **changes: Any) -> None:
    record(model, lambda spec: replace(spec, layers=[replace(spec.layers[0], **changes)]))


def stale_layer(model: onnx.ModelProto) -> None:
    change_layer(model, value="conv2d_of_then")


def stale_grid(model: onnx.ModelProto) -> None:
    change_layer(model, grid=[4, 4])


def stale_version(model: onnx.ModelProto) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = entry.value.replace('"version":1', '"version":9')


def no_record(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def forget_default(model: onnx.ModelProto) -> None:
    (default,) = (t for t in model.graph.initializer if t.name == "class_index")
    model.graph.initializer.remove(default)


def swap_labels(model: onnx.ModelProto) -> None:
    record(model, lambda spec: replace(spec, labels=[*LABELS[1:], LABELS[0]]))


def comment(model: onnx.ModelProto) -> None:
    model.graph.doc_string = "exported on Tuesday"


WRONG = {
    "a perturbed gradient weight": (perturb_gradient, "gradients", "error "),
    "a gradient baked in as a constant": (
        bake_gradient, "gradients", "the same for every input, as if baked in as a constant"),
    "scores of other classes": (swap_classes, "classes", "not those of the classes that come with"),
    "other classes than requested": (rename_classes, "classes", "for classes"),
    "a changed output": (change_output, "outputs", "error "),
    "a map that is the same for every input": (
        freeze_map, "dependence", "the maps of layer 'body.0' do not depend on the input"),
    "a record of a layer that is gone": (
        stale_layer, "metadata", "'conv2d_of_then' is no value of the graph"),
    "a record of another grid": (stale_grid, "metadata", "grid [4, 4], its heatmap has [8, 8]"),
    "a record of a newer version": (stale_version, "metadata", "follows graftcam spec 9"),
    "no record": (no_record, "metadata", "has no graftcam metadata"),
    "an input without its default": (
        forget_default, "drop-in", "the artifact must also be fed class_index"),
}  # fmt: skip
WRONG_BY_SOURCE = {
    "a record of other weights": (
        stale_weights, "source", "the artifact was made from 000000000000; export again"),
    "labels in another order": (
        swap_labels, "labels", "class 0 is 'kind 1' in the artifact and 'kind 0' in the source"),
    "another byte": (comment, "determinism", "gives other bytes, in the graph"),
}  # fmt: skip


def changed(good: Path, path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A file that a faulty exporter wrote: changed, with the digests of what it is."""
    model = onnx.load(good)
    change(model)
    onnx.save(model, path)
    write_digests(path)
    return path


@pytest.mark.parametrize(("change", "check", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_artifact_fails_with_its_reason(
    good: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], check: str, reason: str
) -> None:
    path = changed(good, tmp_path / "flat.onnx", change)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True, everything=True)
    assert_fails(verdict, path, check, reason)


@pytest.mark.parametrize(
    ("change", "check", "reason"), WRONG_BY_SOURCE.values(), ids=WRONG_BY_SOURCE
)
def test_faults_that_only_the_source_reveals_fail_too(
    good: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], check: str, reason: str
) -> None:
    path = changed(good, tmp_path / "flat.onnx", change)
    source = Source(seeded(Flat()), "nets", EXAMPLE)
    _, verdict = verify_artifact(path, source, LABELS)
    assert {one.check for one in verdict.failures} <= {check, "determinism"}
    assert_fails(verdict, path, check, reason)


def assert_fails(verdict: Verdict, path: Path, check: str, reason: str) -> None:
    assert verdict.status == "fail"
    reasons = [one.reason for one in verdict.failures if one.check == check]
    assert any(reason in one for one in reasons), verdict.failures
    jsonschema.validate(json.loads(to_json(path, None, None, verdict)), SCHEMA)


def test_a_heatmap_alone_that_is_wrong_fails(good: Path, tmp_path: Path) -> None:
    def louder(model: onnx.ModelProto) -> None:
        instead(model, "heatmap", "Add", np.array(0.1, np.float32))

    _, verdict = verify_artifact(changed(good, tmp_path / "flat.onnx", louder))
    assert {one.check for one in verdict.failures} == {"heatmap"}


def test_the_first_check_that_fails_decides(good: Path, tmp_path: Path) -> None:
    path = changed(good, tmp_path / "flat.onnx", swap_classes)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True)
    assert {one.check for one in verdict.failures} == {"classes"}
    left_out = ["outputs", "activations", "gradients", "heatmap", "scores", "shapes"]
    assert verdict.stopped == left_out
    jsonschema.validate(json.loads(to_json(path, None, None, verdict)), SCHEMA)
    result = call("verify", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith(f"{', '.join(left_out)} (--all checks all)")
    assert "skip  gradients: not made: classes failed before it" in result.stdout
    assert "(--all checks all)" not in call("verify", path, "--all").stdout


@pytest.mark.parametrize(("factor", "images"), [(1.01, 12), (3.0, 4)])
def test_a_gradient_that_is_wrong_on_every_image_takes_no_more_of_them(
    good: Path, tmp_path: Path, factor: float, images: int
) -> None:
    def scale(model: onnx.ModelProto) -> None:
        instead(model, "gradients", "Mul", np.array(factor, np.float32))

    path = changed(good, tmp_path / "flat.onnx", scale)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True)
    assert verdict.images == images
    assert {one.level for one in verdict.findings if one.check == "gradients"} == {"all"}
    (failure,) = (one for one in verdict.failures if one.check == "gradients")
    assert "median" in failure.reason
    assert failure.reason.endswith("finite differences agree with PyTorch autograd")


def test_wrong_outputs_need_neither_more_images_nor_differences(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scale(model: onnx.ModelProto) -> None:
        instead(model, model.graph.output[0].name, "Mul", np.array(1.1, np.float32))

    path = changed(good, tmp_path / "flat.onnx", scale)
    artifact = Artifact(path, Spec.from_json(onnx.load(path).metadata_props[0].value))
    verdict = verify_module(artifact, seeded(Flat()), EXAMPLE, matrix=FULL)
    assert (verdict.status, verdict.images) == ("fail", 4)
    assert {one.level for one in verdict.findings if one.level} == {"all"}
    monkeypatch.setattr(finite, "check_differences", lambda *args, **options: 1 / 0)
    write_plain(good, tmp_path / "plain.onnx")
    plain = tmp_path / "plain.onnx"
    verdict = finite.verify_file(artifact, ir.load(good), plain, matrix=FULL)
    assert {one.check for one in verdict.failures} == {"outputs"}


def test_another_model_than_the_source_is_reported_and_all_checks_the_rest(good: Path) -> None:
    source = Source(seeded(Tiny(5)), "nets", EXAMPLE)
    _, verdict = verify_artifact(good, source, everything=True)
    (failure,) = verdict.failures
    assert failure.check == "source"
    assert "cannot be exported as the artifact was: no layer is called" in failure.reason
    assert verdict.by_check()["gradients"] == "pass"
    _, verdict = verify_artifact(good, source)
    assert verdict.failures == [failure]
    assert verdict.by_check()["gradients"] == "skipped"


def test_maps_that_do_not_depend_on_the_image_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"layer 'layer' do not depend on the input") as e:
        export(seeded(Prior()), tmp_path / "m.onnx", EXAMPLE, layers="layer")
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_the_record_holds_every_check_and_the_runtimes_version(tmp_path: Path) -> None:
    report = export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, verify="full")
    stored = read_spec(tmp_path / "m.onnx").verification
    assert stored == report.verification
    assert stored.checks["determinism"] == "pass"
    assert set(stored.checks.values()) == {"pass"}
    assert stored.onnxruntime


def test_the_command_passes_a_good_artifact_and_writes_the_report(
    good: Path, tmp_path: Path, image_folder: Path
) -> None:
    report = tmp_path / "verdict.json"
    result = succeed("verify", good, "--images", image_folder, "--json", report)
    assert "flat.onnx passes: finite-differences, 4 random inputs and 2 images" in result.stdout
    data = json.loads(report.read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "pass"
    assert data["inputs"] == {"random": 4, "given": 2, "seed": 0}
    printed = call("verify", good, "--json", "-")
    assert json.loads(printed.stdout)["artifact"] == data["artifact"]


def test_the_command_fails_a_wrong_artifact(good: Path, tmp_path: Path) -> None:
    before = good.read_bytes()
    path = changed(good, tmp_path / "flat.onnx", perturb_gradient)
    result = call("verify", path)
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("flat.onnx may not ship, 2 failed: gradients: error ")
    assert good.read_bytes() == before


REFUSALS = {
    "no such artifact": (["verify", "no.onnx"], "no.onnx"),
    "no such source": (["verify", "GOOD", "--against", "no.onnx"], "no file no.onnx"),
    "no such folder": (["verify", "GOOD", "--images", "no"], "no folder no"),
    "no images": (["verify", "GOOD", "--images", "EMPTY"], "contains no images"),
    "unreadable image": (["verify", "GOOD", "--images", "BROKEN"], "is no image that OpenCV"),
    "report nowhere": (["verify", "GOOD", "--json", "broken/a.png/verdict.json"], "cannot write"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS)
def test_bad_input_is_one_line_with_exit_code_1(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    places = {"GOOD": str(good), "EMPTY": "empty", "BROKEN": "broken"}
    assert message in refuse(*[places.get(argument, argument) for argument in arguments])
