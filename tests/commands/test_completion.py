"""Shells complete commands, options, and what the artifact before on the line names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graftcam.cli import main
from graftcam.commands.completes import VARIABLE
from graftcam.commands.completing import Bash
from graftcam.commands.table import SUMMARIES
from support.artifacts import spec, write_artifact
from support.cli import fail, succeed
from support.interpreter import python
from support.three_heads import LABELS

NAMES = ["red", "red fox, a fox", "green", "empty\nred forged"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, a text that is called like one, and a picture's name."""
    path = tmp_path_factory.mktemp("completion")
    write_artifact(path / "m.onnx", spec(labels=NAMES))
    (path / "text.onnx").write_text("no model")
    return path


@pytest.fixture
def offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    monkeypatch.chdir(folder)

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", f"graftcam {line}")
        found = Bash(main, {}, "graftcam", VARIABLE)
        arguments, incomplete = found.get_completion_args()
        return [one.value for one in found.get_completions(arguments, incomplete)
                if one.type == "plain"]  # fmt: skip

    return complete


def test_commands_and_options(offered: Callable[[str], list[str]]) -> None:
    assert offered("") == list(SUMMARIES)
    assert offered("ex") == ["explain", "export"]
    assert offered("explain --sta") == ["--start"]
    assert offered("explain --style ") == ["overlay", "heatmap", "contour", "mask"]
    assert "--json" in offered("inspect --")
    assert offered("--ver") == ["--version"]


def test_values(offered: Callable[[str], list[str]]) -> None:
    assert offered("explain m.onnx a.png --method layer") == ["layercam"]
    assert offered("explain --method=layer") == ["layercam"]
    assert offered("verify m.onnx --engine openv") == ["openvino", "openvino-plugin"]
    assert offered("bench m.onnx --provider c") == ["cpu", "cuda"]
    assert "insertion" in offered("evaluate m.onnx photos --measure i")
    assert offered("explain m.onnx --preprocess imagenet,sq") == ["imagenet,squash"]
    assert offered("completion ") == ["bash", "zsh", "fish"]


def test_what_the_artifact_names(offered: Callable[[str], list[str]]) -> None:
    # A label that could forge a line of the answer is left out.
    assert offered("explain m.onnx a.png --class ") == ["red", "red fox, a fox", "green"]
    assert offered("explain m.onnx a.png --class RED") == ["red", "red fox, a fox"]
    assert offered('explain m.onnx a.png --class "red f') == ["red fox, a fox"]
    assert offered("explain m.onnx a.png --class red --class g") == ["green"]
    assert offered("explain m.onnx --layer ") == ["features.0"]
    assert offered("bench m.onnx --output ") == ["logits"]
    assert offered("visualize m.onnx -o a.png --class g") == ["green"]


def test_of_several_outputs_the_labels_of_the_one_that_is_named(
    offered: Callable[[str], list[str]], tmp_path: Path
) -> None:
    from support.three_heads import write_plain

    write_plain(tmp_path / "plain.onnx")
    for name, labels in LABELS.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(labels))
    succeed(
        "export", tmp_path / "plain.onnx", "--layer", "features", "--output", "gender",
        "--output", "age", "--labels", f"gender={tmp_path / 'gender.txt'}", "--labels",
        f"age={tmp_path / 'age.txt'}", "--verify", "off", "-o", tmp_path / "out.onnx",
    )  # fmt: skip
    line = f"explain {tmp_path / 'out.onnx'} a.png"
    assert offered(f"{line} --output ") == ["gender", "age"]
    assert offered(f"{line} --output age --class ") == list(LABELS["age"])


@pytest.mark.parametrize("file", ["no.onnx", "text.onnx", "."])
def test_a_file_that_is_no_artifact_offers_nothing(
    file: str, offered: Callable[[str], list[str]]
) -> None:
    assert offered(f"explain {file} a.png --class ") == []
    assert offered(f"explain {file} a.png --layer ") == []
    assert offered("explain --class ") == []


def test_models_by_name_without_importing_their_package(
    offered: Callable[[str], list[str]],
) -> None:
    found = offered("explain torchvision:resnet")
    assert {"torchvision:resnet18", "torchvision:resnet152"} <= set(found)
    assert offered("export torchv") == offered("export torchvision:")
    assert "timm:resnet50" in offered("layers timm:resnet5")
    assert offered("layers ") == []  # files alone
    from torchvision.models import list_models

    listed = {f"torchvision:{name}" for name in list_models()}
    assert {*offered("export torchvision:")} <= listed
    assert len(offered("export torchvision:")) > 0.8 * len(listed)


@pytest.mark.parametrize("line", ["", "explain --", "explain m.onnx --class r"])
def test_a_tab_imports_nothing_heavy(line: str, folder: Path) -> None:
    code = f"""
import os, sys
os.chdir({str(folder)!r})
from graftcam.cli import main
try:
    main([], prog_name="graftcam")
except SystemExit:
    heavy = {{"numpy", "cv2", "onnxruntime", "torch"}} & set(sys.modules)
    others = [n for n in sys.modules if n in ("graftcam.commands.bench", "graftcam.commands.demo")]
    print(sorted(heavy), others)
"""
    env = {**os.environ, VARIABLE: "bash_complete", "COMP_WORDS": f"graftcam {line}",
           "COMP_CWORD": "0"}  # fmt: skip
    assert python(code, env=env).splitlines()[-1] == "[] []"


def test_the_script_is_that_of_the_shell_and_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for shell, words in (
        ("bash", "complete -o nosort -F _graftcam_completion graftcam"),
        ("zsh", "#compdef graftcam"),
        ("fish", "complete --no-files --command graftcam"),
    ):
        assert words in succeed("completion", shell).stdout
        assert f"graftcam completion {shell} > " in succeed("completion", "--help").stdout
        monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
        assert words in succeed("completion").stdout
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "$SHELL is tcsh; name one of bash, zsh, fish" in fail("completion")
    monkeypatch.delenv("SHELL")
    assert "$SHELL is empty; name one of" in fail("completion")
    assert "'tcsh' is not one of" in fail("completion", "tcsh", code=2)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with a program `graftcam` that runs this checkout."""
    path = tmp_path / "bin" / "graftcam"
    path.parent.mkdir()
    code = "from graftcam.cli import main; main(prog_name='graftcam')"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    path.chmod(0o755)
    return path.parent


def shell(words: list[str], program: Path, folder: Path) -> str:
    path = f"{program}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# What bash does at a TAB; its words break at colons.
BASH = """
source <(graftcam completion bash)
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=() COMP_WORDS=("${@:2}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _graftcam_completion graftcam 2>/dev/null
    printf '%s|' "${COMPREPLY[@]}"; echo
}
complete_line 'graftcam explain m.onnx a.png --class r' r
complete_line 'graftcam explain m.onnx a.png --class "red f' '"red f'
complete_line 'graftcam explain torchvision:resnet15' torchvision : resnet15
complete_line 'graftcam explain m.onnx a.png --method=layer' --method = layer
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_bash(program: Path, folder: Path) -> None:
    assert shell(["bash", "--norc", "-c", BASH], program, folder).splitlines() == [
        "red|red\\ fox\\,\\ a\\ fox|", "red fox, a fox|", "resnet152|", "layercam|",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_in_fish(program: Path, folder: Path) -> None:
    code = """
graftcam completion fish | source
complete -C 'graftcam explain m.onnx a.png --class r'
complete -C 'graftcam explain torchvision:resnet15'
complete -C 'graftcam comp'
"""
    summary = SUMMARIES["completion"]
    assert shell(["fish", "--no-config", "-c", code], program, folder).splitlines() == [
        "red", "red fox, a fox", "torchvision:resnet152", f"completion\t{summary}",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_takes_the_script(program: Path, folder: Path, tmp_path: Path) -> None:
    code = f"""
autoload -Uz compinit; compinit -u -d {tmp_path / "dump"}
source <(graftcam completion zsh)
echo $_comps[graftcam]
"""
    assert shell(["zsh", "-f", "-c", code], program, folder) == "_graftcam_completion\n"
