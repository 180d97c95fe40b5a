"""Heads: the model from a layer to the score, cut out, written beside the artifact, found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, Score, TorchExport, VerificationError, WriteError, export
from graftcam.exporter.verify import heads as verify_head_module
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError, SpecError
from graftcam.runtime.inputs.scores import table_of
from graftcam.runtime.session.heads import Heads
from graftcam.runtime.session.session import Session
from support.artifacts import SCENE, write_artifact
from support.artifacts import preprocess as plain_preprocess
from support.exports import to_onnx
from support.heads import Skip, export_with_head, method_output, torch_head, with_head
from support.images import noise
from support.nets import ChannelsLast, Dense, Ending, Segmenter, Tiny, Tokens, Twins, seeded
from support.nets_scores import Detector
from support.onnx_bytes import onnx_model

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # float32, a few layers deep

# Model, layer, image size, what its head reads beside the activations.
CASES: dict[str, tuple[Any, str, tuple[int, int], int]] = {
    "a cut of the graph": (Tiny, "relu1", (8, 8), 0),
    "pool and linear head": (Tiny, "relu2", (8, 6), 0),
    "inside a residual block": (Skip, "act", (8, 8), 1),
    "another path from the image": (Twins, "left", (6, 6), 1),
    "tokens behind a class token": (Tokens, "norm", (12, 8), 2),
    "tokens before the class token joins": (Tokens, "patch", (12, 8), 0),
    "channels last": (ChannelsLast, "norm", (6, 5), 0),
    "logits behind a softmax": (lambda: Ending(nn.Softmax(1)), "relu1", (8, 8), 0),
}


def made(case: str) -> Path:
    """The artifact of a case, with its head beside it."""
    return with_head(*CASES[case][:3])


@pytest.mark.parametrize("case", CASES)
def test_a_head_is_the_models_own_for_any_activations(case: str) -> None:
    kind, _, size, beside = CASES[case]
    model, path = seeded(kind()), made(case)
    session = Session(path)
    layer = session.spec.layers[0]
    assert layer.head.file == f"{path.stem}.head.onnx"
    assert len(layer.head.inputs) == 1 + beside
    x = noise(2, *size)
    whole = {"x": x, **session.run({"x": x})}
    head = Heads(path, session.spec, Session).of(layer)
    drawn = np.random.default_rng(1).standard_normal(whole[layer.activations].shape)
    feeds = {head.activations: drawn.astype(np.float32)}
    feeds |= {name: whole[source] for name, source in head.beside.items()}
    found = head.session.run({**feeds, head.session.spec.class_index: np.array([[2, 0]])})

    own = model.ending if isinstance(model, Ending) else None
    if own is not None:
        model.ending = nn.Identity()  # scores are logits
    given = torch.from_numpy(feeds[head.activations]).requires_grad_()
    expected = torch_head(model, layer, torch.from_numpy(x))(given)
    score = head.session.spec.score
    assert (score.value, score.activated) == (score.output, False)
    np.testing.assert_allclose(found[score.output], expected.detach(), **TOLERANCE)
    for k, class_id in enumerate((2, 0)):
        (gradient,) = torch.autograd.grad(expected[:, class_id].sum(), given, retain_graph=True)
        gradients = found[head.session.spec.layers[0].gradients]
        assert gradient.abs().max() > 0
        np.testing.assert_allclose(gradients[:, k], gradient, **TOLERANCE)


def head_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.head.onnx")


def test_a_head_holds_its_own_weights_only() -> None:
    head = onnx.load(head_of(made("a cut of the graph")))
    shapes = [list(one.dims) for one in head.graph.initializer]
    assert [12, 8, 3, 3] in shapes
    assert [8, 3, 3, 3] not in shapes


def test_heads_are_valid_graphs_in_plain_operators() -> None:
    head = onnx.load(head_of(made("tokens behind a class token")))
    onnx.checker.check_model(head, full_check=True)
    assert {node.domain for node in head.graph.node} == {""}
    assert head.graph.input[0].name == "activations"


def test_an_artifact_without_a_head_is_as_before(tmp_path: Path) -> None:
    example = (torch.zeros(2, 3, 8, 8),)
    export(seeded(Skip()), tmp_path / "plain.onnx", example, layers="act", verify="off")
    plain, whole = Session(tmp_path / "plain.onnx"), Session(made("inside a residual block"))
    assert plain.spec.layers[0].head is None
    assert '"head"' not in plain.spec.to_json()
    assert len(whole.outputs) == len(plain.outputs) + 1
    x = noise(2)
    expected = plain.run({"x": x})
    for name, value in whole.run({"x": x}, expected).items():
        np.testing.assert_array_equal(value, expected[name])


def test_several_layers_have_a_head_each(tmp_path: Path) -> None:
    spec = export_with_head(seeded(Tokens()), tmp_path / "m.onnx", ["norm", "after"], (12, 8))
    files = [layer.head.file for layer in spec.layers if layer.head]
    assert files == ["m.head.norm.onnx", "m.head.after.onnx"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["m.onnx", *files])
    session = Session(tmp_path / "m.onnx")
    x = noise(2, 12, 8)
    whole = {"x": x, **session.run({"x": x})}
    for layer in spec.layers:
        head = Heads(tmp_path / "m.onnx", spec, Session).of(layer)
        feeds = {head.activations: whole[layer.activations]}
        feeds |= {name: whole[source] for name, source in head.beside.items()}
        found = head.session.run(feeds)
        np.testing.assert_allclose(
            found[head.session.spec.score.output], whole[spec.score.output], **TOLERANCE
        )


def test_an_onnx_file_has_a_head_too(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    to_onnx(seeded(Skip()), plain, input_names=["x"])
    layer = next(n.output[0] for n in onnx.load(plain).graph.node if n.op_type == "Conv")
    report = export(plain, path, layers=layer, extras=["head"])
    assert report.spec.layers[0].head is not None
    verdict = Session(tmp_path / "m.head.onnx").spec.verification
    assert (verdict.verdict, verdict.reference) == ("pass", "artifact")


def test_the_head_of_a_dense_model_takes_the_region(tmp_path: Path) -> None:
    spec = export_with_head(seeded(Dense("softmax")), tmp_path / "m.onnx", "act", verify="quick")
    head = Session(tmp_path / "m.head.onnx")
    assert head.spec.region is not None
    assert head.spec.verification.verdict == "pass"
    assert head.spec.score.value == spec.score.value


def test_a_head_of_a_model_of_open_size(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    spec = export_with_head(
        seeded(Segmenter()), path, "mix", trace=TorchExport(dynamic_size=True), verify="quick"
    )
    assert spec.layers[0].head is not None
    maps = method_output(path, noise(2, 12, 10), [[1]], "ablationcam").maps
    assert maps.shape == (2, 1, 6, 5)
    assert maps.max() > 0


def test_a_head_beside_embedded_preprocessing_takes_what_the_model_takes(tmp_path: Path) -> None:
    """The head of one of two branches reads the model's input, which is no input any more."""
    transform = plain_preprocess(size=[6, 6], resize=[6], input="")
    maps: list[np.ndarray] = []
    for name in ("embedded", "plain"):
        path = tmp_path / f"{name}.onnx"
        export_with_head(
            seeded(Twins()), path, "left", (6, 6), preprocess=transform, verify="quick",
            extras=["head", "embed_preprocess"] if name == "embedded" else ["head"],
        )  # fmt: skip
        maps.append(Explainer(path).explain(SCENE[:40, :40], [1], method="reciprocam").maps)
    assert maps[0].max() > 0
    np.testing.assert_allclose(*maps, rtol=1e-3, atol=1e-5)


def test_the_score_itself_has_no_head(tmp_path: Path) -> None:
    plain = tmp_path / "plain.onnx"
    text = """<ir_version: 8, opset_import: ["" : 18]>
    maps (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) { y = Sigmoid(x) }"""
    plain.write_bytes(onnx_model(text))
    with pytest.raises(LayerError, match=r"'y' is the score itself.*earlier layer"):
        export(plain, tmp_path / "m.onnx", layers="y", score="output", extras=["head"])
    assert [one.name for one in tmp_path.iterdir()] == ["plain.onnx"]


def test_artifact_and_head_appear_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, out = tmp_path / "plain.onnx", tmp_path / "out"
    text = """<ir_version: 8, opset_import: ["" : 18]>
    maps (float[N, 3, 8, 8] x) => (float[N, 3] y) {
        layer = Sigmoid(x)
        two = ReduceMean <keepdims = 0> (layer, axes)
        y = Mul(two, two)
    }"""
    plain.write_bytes(onnx_model(text, {"axes": np.array([2, 3])}))
    (out / "m.onnx").mkdir(parents=True)
    with pytest.raises(WriteError, match=r"cannot write .*m\.onnx"):
        export(plain, out / "m.onnx", layers="layer", extras=["head"])
    assert [one.name for one in out.iterdir()] == ["m.onnx"]
    (out / "m.onnx").rmdir()

    monkeypatch.setattr(verify_head_module, "relative_errors", lambda *_: np.ones(1))
    with pytest.raises(VerificationError, match="head of layer 'layer' disagrees"):
        export(plain, out / "m.onnx", layers="layer", extras=["head"])
    assert not list(out.iterdir())

    monkeypatch.undo()
    export(plain, out / "m.onnx", layers="layer", extras=["head"])
    assert sorted(one.name for one in out.iterdir()) == ["m.head.onnx", "m.onnx"]


def test_the_same_model_gives_the_same_head(tmp_path: Path) -> None:
    first = made("tokens behind a class token")
    export_with_head(seeded(Tokens()), tmp_path / first.name, "norm", (12, 8))
    again = head_of(tmp_path / first.name).read_bytes()
    assert head_of(first).read_bytes() == again
    assert b"/site-packages/" not in again


def _opened(path: Path, head: Path | None = None) -> Any:
    session = Session(path)
    return Heads(path, session.spec, Session, head).of(session.spec.layers[0])


def test_a_missing_head_is_named_with_the_remedy(tmp_path: Path) -> None:
    whole, alone = made("inside a residual block"), tmp_path / "a.onnx"
    alone.write_bytes(whole.read_bytes())
    with pytest.raises(InputError, match=r"m\.head\.onnx: no such file.*--extra head"):
        _opened(alone)
    assert _opened(alone, head_of(whole)).activations == "activations"
    plain = write_artifact(tmp_path / "plain.onnx")
    with pytest.raises(InputError, match=r"without the head of layer 'features\.0'.*--extra head"):
        _opened(plain)


@pytest.mark.parametrize(
    ("case", "layer", "seed"),
    [("inside a residual block", "act", 1), ("a cut of the graph", "bn1", 0)],
    ids=["other weights", "another layer of the same shape"],
)
def test_the_head_of_other_weights_or_another_layer_is_refused(
    tmp_path: Path, case: str, layer: str, seed: int
) -> None:
    other = tmp_path / "b.onnx"
    export_with_head(seeded(CASES[case][0](), seed=seed), other, layer)
    with pytest.raises(
        InputError, match=r"b\.head\.onnx is not the head of layer '\w+' of.*--extra head"
    ):
        _opened(made(case), head_of(other))


def test_the_head_of_another_score_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "output.onnx"
    export_with_head(seeded(Ending(nn.Softmax(1))), other, "relu1", score="probability")
    with pytest.raises(InputError, match="is not the head"):
        _opened(made("logits behind a softmax"), head_of(other))


def test_metadata_that_names_an_output_that_is_not_there_is_refused(tmp_path: Path) -> None:
    whole = made("a cut of the graph")
    spec = Session(whole).spec
    head = spec.layers[0].head
    wrong = replace(spec.layers[0], head=replace(head, inputs={"activations": "gone"}))
    model = onnx.load(whole)
    for entry in model.metadata_props:
        entry.value = replace(spec, layers=[wrong]).to_json()
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(SpecError, match=r"lacks \['gone'\]"):
        Session(tmp_path / "m.onnx")


def test_explainer_opens_no_head_before_a_method_needs_it(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "patches.onnx")
    explainer = Explainer(path, head=tmp_path / "nowhere.onnx")
    assert explainer.explain(SCENE, "red").status == ["ok"]
    with pytest.raises(InputError, match=r"without the head of layer 'features\.0'.*--extra head"):
        explainer.explain(SCENE, "red", method="ablationcam")


@pytest.mark.parametrize("form", ["rows", "chances", "turned"])
def test_a_head_says_where_its_own_output_has_the_classes(tmp_path: Path, form: str) -> None:
    path, x = tmp_path / "m.onnx", noise(2, 8, 12)
    score = Score(activation="sigmoid", class_axis=1 if form == "chances" else 2, class_offset=4)
    export_with_head(
        seeded(Detector(form)), path, "stem", (8, 12), score=score, detector="off", verify="quick"
    )
    session, ids = Session(path), np.array([[1, 2]])
    layer = session.spec.layers[0]
    whole = session.run({"x": x, "class_index": ids})
    head = Heads(path, session.spec, Session).of(layer)
    found = head.session.run({head.activations: whole[layer.activations], "class_index": ids})
    record = head.session.spec
    np.testing.assert_allclose(found[record.scores], whole[session.spec.scores], **TOLERANCE)
    table = table_of(record.score, found[record.score.output])
    np.testing.assert_allclose(table[:, 1:3].sum(2), whole[session.spec.scores], **TOLERANCE)
