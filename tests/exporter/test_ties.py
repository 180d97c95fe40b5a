"""Which of several equal maxima takes the gradient: what the source's framework does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import export
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from support.onnx_text import parsed
from support.sessions import open_session, results


class _Pooled(nn.Module):
    """A pool behind a ReLU half of whose channels are dead, so that zeros tie."""

    def __init__(self, pool: Callable[[torch.Tensor], torch.Tensor], features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
        self.pool = pool
        self.head = nn.Linear(features, 3)
        with torch.no_grad():
            self.body[0].bias[:2] -= 3  # pyright: ignore

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.body(x)).flatten(1))


def _adaptive(size: int | tuple[int, int]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: functional.adaptive_max_pool2d(x, size)


@pytest.mark.parametrize(
    ("pool", "features"),
    [
        pytest.param(nn.AdaptiveMaxPool2d(1), 4, id="adaptive, one place"),
        pytest.param(_adaptive((3, 2)), 24, id="adaptive, windows of two sizes"),
        pytest.param(lambda x: x.amax((2, 3)), 4, id="amax shares"),
        pytest.param(lambda x: x.max(1)[0], 64, id="max gives the place as well"),
        pytest.param(lambda x: (-x).flatten(2).min(2).values, 4, id="min likewise"),
    ],
)
def test_ties_follow_autograd(
    pool: Callable[[torch.Tensor], torch.Tensor], features: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = _Pooled(pool, features).eval()
    # Exact ties: verification compares with autograd, and refuses another choice.
    report = export(model, tmp_path / "a.onnx", (torch.rand(1, 3, 16, 16),), layers="body")
    assert report.verification.verdict == "pass"


def test_bounds_of_two_kinds_in_turn_keep_their_own_gradients(tmp_path: Path) -> None:
    """A clamp by tensors shares the gradient with its bound, one by numbers does not."""

    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shared = torch.clamp(self.body(x), torch.tensor(0.0), torch.tensor(2.0))
            return shared.clamp(-1.0, 1.5).flatten(1).cumsum(1)

    model, image = Clamped().eval(), torch.tensor([[[[-1.0, 0.0, 0.5, 1.0, 3.0]]]])
    export(model, tmp_path / "a.onnx", (image,), layers="body", verify="off")
    layer = image.relu().requires_grad_()
    clamped = torch.clamp(layer, torch.tensor(0.0), torch.tensor(2.0)).clamp(-1.0, 1.5)
    clamped.flatten(1).cumsum(1)[0, 4].backward()
    got = results(
        open_session(tmp_path / "a.onnx"), {"x": image.numpy(), "class_index": np.array([[4]])}
    )
    assert layer.grad is not None
    np.testing.assert_array_equal(got["gradients"][0, 0], layer.grad[0].numpy())


def test_an_adaptive_pool_gives_the_indices_of_its_maxima(tmp_path: Path) -> None:
    def places(x: torch.Tensor) -> torch.Tensor:
        even = functional.adaptive_max_pool2d(x, 2, return_indices=True)[1]
        uneven = functional.adaptive_max_pool2d(x, (3, 1), return_indices=True)[1]
        one = functional.adaptive_max_pool2d(x, 1, return_indices=True)[1]
        found = torch.cat([part.flatten(1) for part in (even, uneven, one)], 1).float()
        return found + functional.adaptive_max_pool2d(x, 1).sum((1, 2, 3))[:, None]

    torch.manual_seed(0)
    model = _Pooled(places, 4 * (4 + 3 + 1)).eval()
    export(model, tmp_path / "a.onnx", (torch.rand(1, 3, 16, 16),), layers="body")


_FILE = """<ir_version: 8, opset_import: ["" : 18]>
    pooled (float[N, 2, 2, 2] image) => (float[N, 2] logits)
    {
        layer = Relu(image)
        logits = ReduceMax <keepdims = 0> (layer, axes)
    }"""
_SHARED, _FIRST = [[0.25, 0.25], [0.25, 0.25]], [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        pytest.param({}, _SHARED, id="plain files share, as amax"),
        pytest.param({"class_hierarchy": "['M', 'aten.amax.default']"}, _SHARED, id="amax"),
        pytest.param({"class_hierarchy": "['M', 'aten.max.dim']"}, _FIRST, id="max"),
        pytest.param({"class_hierarchy": "['torch.nn.modules.pooling.AdaptiveMaxPool2d', "
                      "'aten.amax.default']"}, _FIRST, id="pool module"),
        pytest.param({"stack_trace": "line 7, in forward\n  F.adaptive_max_pool2d(x, 1)"},
                     _FIRST, id="pool function"),
    ],
)  # fmt: skip
def test_a_file_of_pytorch_says_which_maximum_it_was(
    notes: dict[str, str], expected: list[list[float]], tmp_path: Path
) -> None:
    proto = parsed(_FILE, {"axes": np.array([2, 3])})
    for key, text in notes.items():
        proto.graph.node[1].metadata_props.add(key=f"pkg.torch.onnx.{key}", value=text)
    onnx.save(proto, tmp_path / "plain.onnx")
    report = export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers="layer")
    told = any("ties of ReduceMax" in note for note in report.notes)
    assert told == (not notes)
    image = np.zeros((1, 2, 2, 2), np.float32)
    ids = np.array([[0]])
    found = results(open_session(tmp_path / "a.onnx"), {"image": image, "class_index": ids})
    assert found["gradients"][0, 0, 0].tolist() == expected


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_equal_operands_share_and_a_note_says_so(op_type: str, tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    pooled (float[N, 2, 2, 2] image) => (float[N, 2] logits)
    {{
        layer = Relu(image)
        limited = {op_type}(layer, bound)
        logits = ReduceMean <keepdims = 0> (limited, axes)
    }}"""
    proto = parsed(text, {"axes": np.array([2, 3]), "bound": np.zeros((2, 1, 1), np.float32)})
    plain = tmp_path / "plain.onnx"
    onnx.save(proto, plain)
    path = tmp_path / "a.onnx"
    notes = export(plain, path, layers="layer").notes
    note = f"ties of {op_type} 'n1' share the gradient, as in JAX and PyTorch"
    assert any(note in one for one in notes)
    _, verdict = verify_artifact(path, Source(plain, "plain"), seconds=20)
    assert any(note in one for one in verdict.remarks)
    image, ids = np.zeros((1, 2, 2, 2), np.float32), np.array([[0]])
    found = results(open_session(path), {"image": image, "class_index": ids})
    assert found["gradients"][0, 0, 0].tolist() == [[0.125, 0.125], [0.125, 0.125]]
