"""The rooms: no import goes upward or in a circle, and the runtime stays light."""

from __future__ import annotations

import ast

import pytest

from docs.architecture import (
    ORDER,
    ROOT,
    Import,
    circle,
    digest,
    foreign,
    imports,
    modules,
    room_of,
    upward,
)

HALVES = ("exporter", "runtime")
PYTORCH = {"torch", "torchvision", "onnxscript", "timm", "safetensors"}
# The rooms that know PyTorch's modules; the others work on graphs alone.
ROOMS_WITH_PYTORCH = {"source", "locate", "capture", "verify", "report"}
# What the commands and the API import of the exporter.
DOORS = ("pipeline", "release", "shrink", "capture/detector_summary", "source/named")


@pytest.mark.parametrize("half", HALVES)
def test_the_imports_are_found(half: str) -> None:
    assert len(imports(half)) > 200
    known = (
        Import("exporter/pipeline", "exporter/verify/run_checks"),
        Import("runtime/explainer", "runtime/session/session"),
    )
    assert known[HALVES.index(half)] in imports(half)


@pytest.mark.parametrize("half", HALVES)
def test_every_room_has_a_place_in_the_order(half: str) -> None:
    assert {module.split("/")[1] for module in modules(half)} == set(ORDER[half])


@pytest.mark.parametrize("half", HALVES)
def test_no_import_goes_upward(half: str) -> None:
    assert upward(half) == []


@pytest.mark.parametrize("half", HALVES)
def test_no_modules_import_each_other_in_a_circle(half: str) -> None:
    assert circle(half) == []


def test_the_runtime_imports_nothing_of_the_exporter_and_no_heavy_package() -> None:
    assert {one for one in imports("runtime") if not one.imported.startswith("runtime/")} == set()
    heavy = {
        module: found
        for module, names in foreign("runtime").items()
        if (found := names & {"torch", "torchvision", "onnx", "onnx_ir", "onnxscript", "PIL"})
    }
    assert heavy == {}


def test_pytorch_is_known_in_some_rooms_only() -> None:
    found = {room_of(one) for one, names in foreign("exporter").items() if names & PYTORCH}
    assert found == {f"exporter/{room}" for room in ROOMS_WITH_PYTORCH}


def test_an_onnx_file_needs_no_module_that_imports_pytorch_at_once() -> None:
    """What the exporter's doors import, directly or not, leaves PyTorch to functions."""
    imported: dict[str, set[str]] = {}
    for one in imports("exporter", at_once=True):
        imported.setdefault(one.importer, set()).add(one.imported)
    reached, waiting = set[str](), [f"exporter/{door}" for door in DOORS]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported.get(module, set())
    assert {"exporter/capture/onnx_file", "exporter/verify/checks/finite"} <= reached
    at_once = foreign("exporter", at_once=True)
    heavy = {module for module, names in at_once.items() if names & PYTORCH}
    assert "exporter/capture/torch_export" in heavy
    assert heavy & reached == set()


def test_the_exporter_knows_the_command_line_as_little_as_the_runtime_does() -> None:
    outside = {
        one.imported.split("/")[0] for half in HALVES for one in imports(half)
    }  # demo, commands, benchmarks
    assert outside == {"exporter", "runtime"}


@pytest.mark.parametrize("half", HALVES)
def test_each_folder_says_what_comes_in_what_goes_out_and_what_it_imports(half: str) -> None:
    for name in ORDER[half]:
        path = ROOT / half / name / "__init__.py"
        if path.is_file():
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            missing = [word for word in ("In: ", "Out: ", "Imports: ") if word not in text]
            assert not missing, f"{half}/{name}/__init__.py lacks {missing}"


def test_the_drawing_shows_todays_imports() -> None:
    drawing = (ROOT / "docs/images/architecture.svg").read_text()
    assert digest() in drawing, "run `python -m docs.architecture`"
