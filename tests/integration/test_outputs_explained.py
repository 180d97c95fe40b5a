"""The runtime explains each of several outputs as an artifact of that output alone does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.exporter import export
from graftcam.runtime import Explainer
from graftcam.runtime.errors import ClassError, GraftcamError, InputError
from graftcam.runtime.output.text import describe_explanation, describe_spec
from support.three_heads import LABELS, OUTPUTS, PREPROCESS, export_heads, write_plain

NOISE = np.random.default_rng(1)
PHOTO = NOISE.integers(0, 256, (15, 20, 3), np.uint8)
TENSORS = NOISE.standard_normal((2, 3, 12, 12)).astype(np.float32)
# Formulas, a contrast between classes, the input's gradient, and reruns of the model and its head.
METHODS: dict[str, dict[str, Any]] = {
    "gradcam": {}, "layercam": {}, "finercam": {}, "saliency": {}, "scorecam": {},
    "rise": {"masks": 8}, "ablationcam": {}, "integrated-gradients": {"steps": 3},
}  # fmt: skip


def settings() -> dict[str, Any]:
    return {
        "layers": "features",
        "preprocess": PREPROCESS,
        "extras": ["head", "input_gradients"],
        "verify": "off",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``all.onnx`` and an artifact of each output alone."""
    path = tmp_path_factory.mktemp("outputs")
    export_heads(path / "all.onnx", labels=LABELS, **settings())
    plain = write_plain(path / "plain.onnx")
    for name in OUTPUTS:
        export(plain, path / f"{name}.onnx", output=name, labels=LABELS.get(name), **settings())
    return path


@pytest.fixture(scope="module")
def explainer(folder: Path) -> Explainer:
    return Explainer(folder / "all.onnx")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_explains_an_output_as_if_it_were_alone(
    method: str, output: str, folder: Path, explainer: Explainer
) -> None:
    request: Any = {"method": method, "options": METHODS[method], "top": 2}
    found = explainer.explain(PHOTO, output=output, **request)
    alone = Explainer(folder / f"{output}.onnx").explain(PHOTO, **request)
    # Two graphs, which ONNX Runtime fuses in different ways.
    np.testing.assert_allclose(found.maps, alone.maps, rtol=1e-4, atol=1e-5 * alone.maps.max())
    np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-5)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, alone.probabilities, rtol=1e-5)
    assert (found.classes, found.labels) == (alone.classes, alone.labels)
    assert (found.output_name, alone.output_name) == (output, output)
    assert alone.answers == {}


def test_an_explanation_says_what_every_output_answers(explainer: Explainer) -> None:
    found = explainer.explain(PHOTO, "old", output="age")
    assert list(found.answers) == OUTPUTS == explainer.outputs
    plain = explainer.explain(PHOTO, [], output="smile")
    for name, answer in plain.answers.items():
        best = explainer.explain(PHOTO, output=name)
        ((number, label, value),) = answer.top()
        assert (number, label) == (best.classes[0], best.labels[0])
        assert value == pytest.approx(best.probability(0), rel=1e-5)
    record = found.to_dict()
    assert record["output"] == "age"
    assert [one["label"] for one in record["answers"]["gender"]] == [
        found.answers["gender"].top()[0][1]
    ]
    text = describe_explanation(Path("p.png"), found, [])
    assert text.startswith("p.png  output age\n  old  score ")
    assert f"other outputs: {found.answers['gender'].describe()}; smile: " in text
    assert "explain one with --output NAME" in text


def test_the_first_output_is_the_default(explainer: Explainer) -> None:
    assert explainer.explain(PHOTO).output_name == "gender"
    assert explainer.explain(PHOTO, "male").labels == ["male"]


def test_names_are_looked_up_in_the_asked_output(explainer: Explainer) -> None:
    for request, error, message in (
        ({"classes": "old"}, ClassError, r"'gender' has no class 'old', but output 'age' has.*"
         r"--output age"),
        ({"classes": "female", "output": "smile"}, ClassError, "output 'gender' has"),
        ({"output": "ages"}, InputError, "unknown output 'ages'; did you mean 'age'.*smile"),
        ({"output": 1}, InputError, "output=1: give a text or None"),
        ({"top": 3}, ClassError, "the model has 2 classes"),
        ({"classes": [4], "output": "gender"}, ClassError, "class 4 is out of range"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            explainer.explain(PHOTO, **request)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert explainer.explain(PHOTO, [4], output="age").labels == ["ancient"]


def test_raw_runs_take_classes_of_several_outputs(explainer: Explainer) -> None:
    found = explainer.run(TENSORS, [[-1, 3]], output_index=[[2, 1]])
    ages = explainer.run(TENSORS, [[3]], output_index=[[1]])
    # Other numbers of classes are summed in another order.
    np.testing.assert_allclose(found["heatmap"][:, 1], ages["heatmap"][:, 0], atol=1e-7)
    assert explainer.run(TENSORS, [[-1]], output_index=[[0, 1, 2]])["scores"].shape == (2, 3)
    assert explainer.run(TENSORS, np.zeros((1, 0), np.int64))["scores"].shape == (2, 0)
    fed = {"image": TENSORS, "class_index": np.array([[3]]), "output_index": np.array([[1]])}
    np.testing.assert_array_equal(explainer.run(fed)["scores"], ages["scores"])


@pytest.mark.parametrize(
    ("index", "which", "message"),
    [
        ([[2]], [[0]], "class 2 is out of range; the model has 2 classes"),
        ([[0, 4]], [[1, 2]], "class 4 is out of range; the model has 2"),
        ([[0]], [[3]], "out of range; there is 0 gender, 1 age, 2 smile"),
        ([[0]], [[-1]], "out of range; there is 0 gender"),
        ([[0, 1]], [[0, 1, 2]], r"pass integers \[N or 1, K or 1\], for class_index \[1, 2\]"),
        ([[0]], [[0.5]], "output_index is float64"),
        ([[0]], [0], r"output_index is int64 \[1\]"),
    ],
)
def test_raw_runs_refuse_what_does_not_fit(
    index: Any, which: Any, message: str, explainer: Explainer
) -> None:
    with pytest.raises(ClassError, match=message):
        explainer.run(TENSORS, index, output_index=which)


def test_artifacts_of_one_output_take_no_output_index(folder: Path) -> None:
    one = Explainer(folder / "age.onnx")
    assert one.outputs == ["age"]
    with pytest.raises(InputError, match="explains one output only, 'age'; leave it out"):
        one.run(TENSORS, [[0]], output_index=[[0]])


def test_the_description_lists_the_outputs(explainer: Explainer) -> None:
    text = describe_spec(explainer.spec, explainer.inputs)
    assert "output_index: int64 [N or 1, K], the output that each class is of: 0 gender, 1" in text
    assert "score   age: age (logit), 5 classes, softmax" in text
    assert "labels  gender: female, male" in text
    assert "labels  smile: none" in text


def test_a_web_artifact_is_fed_by_the_runtime(tmp_path: Path) -> None:
    export_heads(tmp_path / "web.onnx", profile="web", preprocess=PREPROCESS)
    web = Explainer(tmp_path / "web.onnx")
    assert web.explain(PHOTO, output="smile").output_name == "smile"
    assert [port.name for port in web.inputs] == ["image"]
    session = web._session  # feeding nothing at all is what a JavaScript caller might try
    assert session.inputs["output_index"].required


def test_a_head_of_one_output_is_no_head_of_several(folder: Path) -> None:
    odd = Explainer(folder / "all.onnx", head=folder / "gender.head.onnx")
    with pytest.raises(GraftcamError, match="is not the head of layer 'features'"):
        odd.explain(PHOTO, method="ablationcam")
