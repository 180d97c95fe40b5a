"""The command line starts quickly: it imports what a command needs, and nothing before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graftcam.cli import main
from graftcam.commands.table import SUMMARIES
from support.cli import call, refuse
from support.hostile import laughs
from support.interpreter import python
from support.paths import ROOT

LIGHT = ["common", "completes", "guarded", "progress", "sections", "signals", "table", "terminal"]
HEAVY = ["numpy", "cv2", "onnxruntime", "onnx", "onnx_ir", "torch"]
RUN = f"""
import sys
from graftcam.cli import main
try:
    main(sys.argv[1:], standalone_mode=False)
except Exception as error:
    print(error)
loaded = sorted(name for name in sys.modules if name.startswith("graftcam.commands."))
print(sorted(set(sys.modules) & set({HEAVY})), *loaded, sep="\\n")
"""


def test_the_table_has_each_command_with_the_first_sentence_of_its_help() -> None:
    files = (ROOT / "commands").glob("*.py")
    assert set(SUMMARIES) == {file.stem for file in files if "\n@command(" in file.read_text()}
    assert list(SUMMARIES) == sorted(SUMMARIES)
    for name, text in SUMMARIES.items():
        assert main.commands[name].get_short_help_str(200).rstrip(".") == text.rstrip(".")


def test_the_list_of_commands_is_the_table_and_imports_no_command() -> None:
    listed = call("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == list(SUMMARIES)
    assert "ops         List the ONNX operators: with a gradient rule, without a...\n" in listed
    loaded = python(RUN, "--help").splitlines()[-1 - len(LIGHT) :]
    assert loaded == ["[]", *(f"graftcam.commands.{name}" for name in LIGHT)]


def test_one_command_imports_no_other_one() -> None:
    found = python(RUN, "ops", "--help").splitlines()
    assert "[]" in found
    assert {"graftcam.commands.ops", "graftcam.commands.options"} <= set(found)
    assert not {"graftcam.commands.explain", "graftcam.commands.export"} & set(found)


@pytest.mark.parametrize("command", ["layers", "export", "verify", "shrink"])
def test_a_hostile_file_is_refused_before_a_library_is_imported(
    command: str, tmp_path: Path
) -> None:
    path = tmp_path / "laughs.onnx"
    path.write_bytes(laughs(20))
    others = {"export": ["-o", "m.onnx"], "shrink": ["--images", ".", "-o", "m.onnx"]}
    [said, loaded, *_] = python(RUN, command, str(path), *others.get(command, [])).splitlines()
    assert "has functions that make" in said
    assert loaded == "[]"


def test_so_is_the_source_of_a_verification(tmp_path: Path) -> None:
    path, other = tmp_path / "laughs.onnx", tmp_path / "m.onnx"
    path.write_bytes(laughs(20))
    other.write_bytes(b"\x08\x08")
    assert "laughs.onnx has functions that make" in refuse("verify", other, "--against", path)


def test_a_report_says_why_a_hostile_file_was_refused(tmp_path: Path) -> None:
    path, page = tmp_path / "laughs.onnx", tmp_path / "page"
    path.write_bytes(laughs(20))
    refuse("export", path, "-o", tmp_path / "m.onnx", "--report", page)
    assert "has functions that make" in (page / "index.html").read_text()


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnx_ir"]))
from graftcam.cli import main
main(["ops"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        'Error: onnx, onnx_ir missing: pip install "graftcam[onnx]" for ONNX files, '
        '"graftcam[cpu,export]" for PyTorch models too\n'
    )
