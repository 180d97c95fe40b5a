"""Profiles: the same numbers, and nothing that the place they are named for does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from torch import nn

from graftcam.exporter import CaptureError, export
from graftcam.exporter.verify.runs.running import load_session, run_session
from graftcam.runtime import Explainer
from graftcam.runtime.errors import SpecError
from graftcam.runtime.spec import Spec
from support.artifacts import colour_scene, spec
from support.exports import export_segmenter, make, to_onnx
from support.images import noise
from support.nets import Flat, Segmenter, Tokens, seeded
from support.nets_wide import Inception, Mobile, Pyramid, Transformer, Windows
from support.placement import added, off_cuda, off_webgpu, sizes_from_data

PROFILES = ("default", "web", "cuda")
# Sums in another order; float16 rounds to 5e-4 and a dozen layers add up.
TOLERANCE = {False: {"rtol": 1e-4, "atol": 1e-6}, True: {"rtol": 2e-2, "atol": 1e-3}}


SUBJECTS: dict[str, tuple[nn.Module, list[str], tuple[int, int]]] = {
    # PyTorch folds ``stem`` and ``norm`` into one convolution, and calls its output ``getitem``.
    "convolutions": (Mobile(), ["getitem", "wide"], (21, 18)),
    "pools": (Inception(), ["stem"], (12, 8)),
    "pools, float16": (Inception().half(), ["stem"], (12, 8)),
    "transformer": (Transformer(), ["norm1"], (8, 12)),
    "shifted windows": (Windows(), ["patch", "norm"], (8, 8)),
    "pyramid": (Pyramid(), ["fine", "coarse"], (10, 6)),
    "segmentation": (Segmenter(), ["stem"], (12, 10)),
    "one layer, float16": (Flat().half(), ["body.0"], (8, 8)),
    "tokens, float16": (Tokens().half(), ["norm"], (8, 8)),
}


@pytest.fixture(scope="module", params=SUBJECTS.values(), ids=SUBJECTS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One model's artifacts by profile."""
    folder, (model, layers, size) = tmp_path_factory.mktemp("profiles"), request.param
    # PyTorch traces the model once; the profiles change what is added to it.
    plain = to_onnx(seeded(model), folder / "plain.onnx", size)
    paths = {profile: folder / f"{profile}.onnx" for profile in PROFILES}
    for profile, path in paths.items():
        export(plain, path, layers=layers, profile=profile, verify="off")
    return paths


def test_the_numbers_are_the_same(exported: dict[str, Path]) -> None:
    sessions = {profile: load_session(path) for profile, path in exported.items()}
    dense = "region" in [one.name for one in sessions["web"].get_inputs()]
    port = sessions["default"].get_inputs()[0]
    half = port.type == "tensor(float16)"
    for count in (1, 3):
        x = noise(count, *port.shape[2:]).astype(np.float16 if half else np.float32)
        for index in ([], [-1], [1, 0, -2]):
            feeds = {"x": x, "class_index": np.array([index], np.int64)}
            feeds |= {"region": np.ones((1, 1, 1, 1), np.float32)} if dense else {}
            right = run_session(sessions["default"], feeds)
            for profile in PROFILES[1:]:
                found = run_session(sessions[profile], feeds)
                assert found.keys() == right.keys()
                for name, expected in right.items():
                    what = f"{profile}: {name}, N = {count}, K = {len(index)}"
                    assert found[name].shape == expected.shape, what
                    np.testing.assert_allclose(
                        found[name], expected, **TOLERANCE[half], err_msg=what
                    )


def test_cuda_runs_all_of_it_and_is_waited_for_nowhere(exported: dict[str, Path]) -> None:
    model = onnx.load(exported["cuda"])
    assert off_cuda(model) == {}
    assert sizes_from_data(model) == []
    # The default has the kernels too; it asks the scores' device how deep to sort.
    model = onnx.load(exported["default"])
    assert off_cuda(model) == {}
    assert sizes_from_data(model) == [
        name for name in (node.name for node in model.graph.node) if name.endswith("/top")
    ]


def test_webgpu_runs_all_that_is_added_but_the_ranking(exported: dict[str, Path]) -> None:
    left = added(off_webgpu(onnx.load(exported["web"])))
    assert {name.rsplit("/", 1)[1] for name in left} == {"top"}, left


def test_javascript_can_feed_every_input(exported: dict[str, Path]) -> None:
    session = load_session(exported["web"])
    assert session.get_overridable_initializers() == []
    assert "class_index" in [one.name for one in session.get_inputs()]


@pytest.mark.parametrize("size", [(32, 32), ("H", "W")])
def test_the_runtime_feeds_what_browsers_must(tmp_path: Path, size: Any) -> None:
    default = Explainer(export_segmenter(tmp_path / "default.onnx", size=size), "cpu")
    web = Explainer(export_segmenter(tmp_path / "web.onnx", size=size, profile="web"), "cpu")
    image, mask = colour_scene(), np.zeros(colour_scene().shape[:2], bool)
    mask[:, : mask.shape[1] // 2] = True
    for region in (None, mask):
        (one, other) = (e.explain(image, ["red", "blue"], region=region) for e in (default, web))
        np.testing.assert_array_equal(one.maps, other.maps)
        np.testing.assert_array_equal(one.scores, other.scores)
    x = np.random.default_rng(0).random((2, 3, 32, 32)).astype(np.float32)
    one, other = default.run(x), web.run(x)
    assert one.keys() == other.keys()
    for name, expected in one.items():
        np.testing.assert_array_equal(other[name], expected)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_verified_and_says_what_it_is(tmp_path: Path, profile: Any) -> None:
    options = {"layers": "stem", "profile": profile, "verify": "quick"}
    spec = make(Segmenter(), tmp_path / "m.onnx", (12, 10), **options).spec
    assert spec.verification.verdict == "pass"
    assert spec.profile == (None if profile == "default" else profile)
    assert ("profile" in spec.to_json()) == (profile != "default")


def test_a_file_of_open_size_is_verified_for_browsers(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
        f (float[N, 3, H, W] x) => (float[N, 3] y)
        <float[3, 3, 1, 1] w = {1, 2, 3, 1, -1, 1, 2, 1, -3}> {
            mapped = Conv(x, w)
            most = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(mapped)
            mean = GlobalAveragePool(most)
            y = Flatten(mean)
        }""")
    plain.write_bytes(model.SerializeToString())
    assert export(plain, path, layers="mapped", profile="web").verification.verdict == "pass"


def test_operators_of_the_model_that_webgpu_lacks_are_noted(tmp_path: Path) -> None:
    def noted(profile: Any) -> list[str]:
        options = {"layers": "stem", "profile": profile, "verify": "off"}
        return export(seeded(Inception()), tmp_path / "m.onnx", example, **options).notes

    example = (torch.zeros(2, 3, 12, 8),)
    (note,) = noted("web")
    assert note.startswith("WebGPU has no pool with ceil_mode, and the model has MaxPool 'node_")
    assert note.endswith("and 3 more; run it with WASM")
    assert noted("cuda") == []


@pytest.mark.parametrize(("opset", "notes"), [(21, 0), (22, 1)])
def test_a_pool_that_cuda_lacks_is_noted(tmp_path: Path, opset: int, notes: int) -> None:
    text = f"""<ir_version: 10, opset_import: ["": {opset}]>
        g (float[N, 3, 8, 8] x) => (float[N, 3] y) {{
            a = Relu (x)  b = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
            c = GlobalAveragePool (b)  y = Flatten (c) }}"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "plain.onnx")
    report = export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers="a", verify="off",
                    profile="cuda")  # fmt: skip
    found = [one for one in report.notes if one.startswith("CUDA has no MaxPool of opset 22")]
    assert len(found) == notes


def test_a_record_holds_no_other_profile() -> None:
    record = spec(profile="web").to_json()
    assert Spec.from_json(record).profile == "web"
    with pytest.raises(SpecError, match=r"graftcam\.profile: 'gpu' is no"):
        Spec.from_json(record.replace('"profile":"web"', '"profile":"gpu"'))


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="unknown profile 'wasm'; choose one of default, web"):
        make(Flat(), tmp_path / "m.onnx", profile="wasm")


def test_the_checks_notice_what_they_are_for() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
        f (float[1, 1, 4, 4] x, int64[1] k) => (float[1, 1, 4, 4] y) <float[1, 1, 2, 2] w> {
            [most] a, places = MaxPool<kernel_shape = [1, 1]>(x)
            [odd] b = ConvTranspose<kernel_shape = [2, 2], pads = [1, 0, 0, 1]>(a, w)
            [slow] c = Sinh(b)
            [read] d, e = TopK(c, k)
            [last] y = Identity(d)
        }""")
    assert list(off_cuda(model)) == ["slow", "odd"]
    assert list(off_webgpu(model)) == ["read", "last", "most"]
    assert sizes_from_data(model) == ["read"]
