"""A second export takes PyTorch's part from the first, and repeats all else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch
from torch import nn

from graftcam.exporter import VerificationError, export, pipeline
from graftcam.exporter.capture.programs import Program, Programs, key_of
from graftcam.exporter.source.torch_inputs import ModuleInputs
from graftcam.runtime.settings import TorchExport

IMAGE = (torch.zeros(1, 3, 16, 16),)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 4),
    ).eval()  # fmt: skip


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for each run of PyTorch's exporter."""
    found: list[None] = []
    plain = torch.onnx.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        found.append(None)
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", counted)
    return found


def test_a_full_verification_runs_pytorchs_exporter_once(tmp_path: Path, runs: list[None]) -> None:
    report = export(small(), tmp_path / "a.onnx", IMAGE, verify="full")
    assert report.verdict is not None
    checks = report.verdict.by_check()
    assert (checks["source"], checks["determinism"]) == ("pass", "pass")
    assert len(runs) == 1
    again = tmp_path / "b.onnx"
    export(small(), again, IMAGE, verify="full")
    assert again.read_bytes() == (tmp_path / "a.onnx").read_bytes()
    assert len(runs) == 2  # nothing is kept from one call to the next


def test_what_graftcam_does_otherwise_the_second_time_is_found(
    tmp_path: Path, runs: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    plain = pipeline.drop_metadata

    def different(graph: ir.Graph) -> None:
        plain(graph)
        calls.append(None)
        graph.node(0).name = f"call_{len(calls)}"

    monkeypatch.setattr(pipeline, "drop_metadata", different)
    with pytest.raises(VerificationError, match="gives other bytes, in the graph"):
        export(small(), tmp_path / "a.onnx", IMAGE, verify="full")
    assert len(runs) == 1
    assert not (tmp_path / "a.onnx").exists()


def test_a_module_that_an_export_changed_is_exported_again(
    tmp_path: Path, runs: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, plain = small(), pipeline.run_checks

    def careless(*args: Any, **kwargs: Any) -> Any:
        verdict = plain(*args, **kwargs)
        module[1].running_mean += 1
        return verdict

    monkeypatch.setattr(pipeline, "run_checks", careless)
    with pytest.raises(VerificationError, match="weights of the source hash to"):
        export(module, tmp_path / "a.onnx", IMAGE, verify="full")
    assert len(runs) == 2


TRACE = TorchExport()
OTHERS = {
    "another layer": (IMAGE, ["1"], TRACE),
    "another opset": (IMAGE, ["0"], replace(TRACE, opset=20)),
    "another name": (IMAGE, ["0"], replace(TRACE, input_names=["image"])),
    "another size": ((torch.zeros(1, 3, 16, 18),), ["0"], TRACE),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS)
def test_what_decides_a_program_is_in_its_key(case: tuple[Any, list[str], TorchExport]) -> None:
    image, layers, trace = case
    module = small()
    key = key_of(module, ModuleInputs(IMAGE), ["0"], TRACE)
    assert key_of(module, ModuleInputs(image), layers, trace) != key
    assert key_of(small(), ModuleInputs(IMAGE), ["0"], replace(TRACE, input_names=None)) == key


def test_other_weights_or_layers_have_another_key() -> None:
    module = small()
    key = key_of(module, ModuleInputs(IMAGE), ["0"], TRACE)
    with torch.no_grad():
        module[5].bias[3] += 1
    changed = key_of(module, ModuleInputs(IMAGE), ["0"], TRACE)
    module[2] = nn.Tanh()
    assert len({key, changed, key_of(module, ModuleInputs(IMAGE), ["0"], TRACE)}) == 3


class Own(nn.Parameter):
    """A parameter of a kind of its own."""


def test_weights_that_cannot_be_read_have_no_key() -> None:
    module = small()
    module[5].bias = Own(torch.zeros(4))
    assert key_of(module, ModuleInputs(IMAGE), ["0"], TRACE) is None


def test_a_program_that_is_used_leaves_the_kept_one_as_it_is() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 18]> net (float[2] x) => (float[2] y){ y = Neg(x) }'
    )
    programs = Programs()
    programs.keep(("a",), Program(model, {"l": 1}, ["y"]))
    model.graph.node(0).op_type = "Abs"
    for _ in range(2):
        found = programs.find(("a",))
        assert found is not None
        assert found.model.graph.node(0).op_type == "Neg"
        found.model.graph.node(0).op_type = "Relu"
    assert programs.find(("b",)) is None
