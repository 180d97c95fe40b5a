"""PyTorch comes from the smallest source that answers, and what it downloads is said before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from scripts import install_torch
from scripts.install_torch import Choice, answers, choose, main, requirements

CPU = "https://download.pytorch.org/whl/cpu/"


def yes(url: str) -> bool:
    return True


def no(url: str) -> bool:
    return False


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_on_linux_the_index_for_the_cpu_is_taken_where_it_answers(machine: str) -> None:
    assert choose("auto", "Linux", machine, yes).url == CPU
    elsewhere = choose("auto", "Linux", machine, no)
    assert elsewhere.url is None
    assert elsewhere.says.startswith("https://download.pytorch.org/whl/ does not answer")
    assert "3 GB" in elsewhere.says
    assert "\n" not in elsewhere.says


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "ppc64le")]
)
def test_elsewhere_pips_own_index_is_taken(system: str, machine: str) -> None:
    choice = choose("auto", system, machine, yes)
    assert (choice.url, "3 GB" in choice.says) == (None, system == "Linux")


def test_an_index_that_is_named_is_taken_unasked() -> None:
    assert choose("pypi", "Linux", "x86_64", yes).url is None
    assert choose("cu130", "Linux", "x86_64", no).url == "https://download.pytorch.org/whl/cu130/"
    assert choose("https://example.org/simple", "Linux", "x86_64", no) == Choice(
        "https://example.org/simple", "PyTorch comes from https://example.org/simple", required=True
    )
    with pytest.raises(ValueError, match="TORCH_INDEX='CUDA 13' is neither"):
        choose("CUDA 13", "Linux", "x86_64")


def test_the_packages_are_those_of_the_extra() -> None:
    torch, torchvision = requirements()
    assert torch.startswith("torch>=")
    assert torchvision.startswith("torchvision>=")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in ``tmp_path``."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}/"
        serving.shutdown()


def test_an_index_answers_if_it_lists_torch(tmp_path: Path, server: str) -> None:
    for name, text in (("good", '<a href="torch-2.9.0.whl">'), ("bad", "Please log in")):
        (tmp_path / name / "torch").mkdir(parents=True)
        (tmp_path / name / "torch" / "index.html").write_text(text)
    answered = [answers(f"{server}{name}/") for name in ("good", "bad", "missing")]
    assert answered == [True, False, False]


@pytest.mark.filterwarnings("error")
def test_what_speaks_no_http_does_not_answer() -> None:
    def speak() -> None:
        connection, _ = port.accept()
        with connection:
            connection.sendall(b"torch-2.9.0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as port:
        Thread(target=speak, daemon=True).start()
        assert not answers(f"http://127.0.0.1:{port.getsockname()[1]}/")


def test_an_index_that_hangs_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is asked; it fails where an index is named."""
    asked: list[list[str]] = []

    class Done:
        def __init__(self, command: list[str]) -> None:
            asked.append(command[command.index("install") :])
            self.returncode = int("--index-url" in command)

    monkeypatch.setattr(install_torch, "installed", lambda: False)
    monkeypatch.setattr(install_torch.subprocess, "run", lambda command, check: Done(command))
    return asked


def test_an_index_without_a_fitting_package_is_followed_by_pips_own(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        install_torch, "choose", lambda *_: Choice(CPU, "PyTorch for the CPU: downloads 200 MB")
    )
    assert main() == 0
    assert [CPU in call for call in calls] == [True, False]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "PyTorch for the CPU: downloads 200 MB"
    assert f"{CPU} has none that fits" in second


def test_a_named_index_without_one_is_a_failure(calls: list[list[str]]) -> None:
    assert main("cu999") == 1
    assert len(calls) == 1


def test_what_is_installed_stays(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_torch, "installed", lambda: True)
    assert main("no index at all") == 0
    assert (calls, capsys.readouterr().out) == ([], "")
