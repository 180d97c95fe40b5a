"""Habits of a terminal: exit codes, colours, quiet runs, progress, and JSON of every command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from graftcam.cli import main
from graftcam.commands import progress, terminal
from graftcam.commands.progress import Counter, Steps, duration
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.exit_codes import ExitCode
from support.cli import call, fail, succeed
from support.images import images, write_images
from support.paths import ROOT

ARGUMENTS = {  # what makes each command fail before it works
    "bench": ["no.onnx"],
    "concepts": ["no.onnx", "a.png", "-o", "out"],
    "demo": ["no.jpg"],
    "diff": ["no.onnx", "b.onnx", "a.png"],
    "evaluate": ["no.onnx", "no", "-o", "out"],
    "explain": ["no.onnx", "a.png", "-o", "out"],
    "export": ["no.onnx", "-o", "m.onnx"],
    "inspect": ["no.onnx"],
    "layers": ["no.onnx"],
    "optimize": ["no.onnx", "-o", "m.onnx"],
    "page": ["no.onnx", "-o", "out", "--ort", "no"],
    "package": ["no.onnx", "--triton", "-o", "out"],
    "prompts": ["no.onnx", "--tokenizer", "t.json", "-p", "dog", "-o", "bank.npz"],
    "report": ["no.json", "-o", "out"],
    "serve": ["no.onnx", "--port", "0"],
    "shrink": ["no.onnx", "--images", "no", "-o", "m.onnx"],
    "sign": ["no.onnx", "--key", "key.pem"],
    "verify": ["no.onnx"],
    "visualize": ["no.onnx", "--class", "1", "-o", "a.png"],
}
CANNOT_FAIL = {"cache", "completion", "ops"}
PRINTS_A_SCRIPT = {"completion"}  # for a shell, which reads no JSON


@pytest.mark.parametrize("name", sorted({*main.commands} - PRINTS_A_SCRIPT))
def test_every_command_prints_json(name: str) -> None:
    options = [one for one in main.commands[name].params if "--json" in one.opts]
    assert len(options) == 1


@pytest.mark.parametrize("name", sorted({*main.commands} - CANNOT_FAIL))
def test_the_error_of_a_command_with_json_is_json(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(name, *ARGUMENTS[name], "--json")
    last = result.stderr.splitlines()[-1]
    record = json.loads(last[last.index("{") :])
    assert set(record) == {"error", "exit_code"}
    assert record["exit_code"] == result.exit_code == 1
    assert result.stdout == ""
    plain = fail(name, *ARGUMENTS[name]).splitlines()[-1]
    assert plain.rpartition("Error: ")[2] == record["error"]


def test_so_is_wrong_usage() -> None:
    assert json.loads(fail("inspect", "--json", "--nope", "a", code=2)) == {
        "error": "No such option '--nope'.",
        "exit_code": 2,
    }
    assert fail("inspect", "--nope", "a", code=2).startswith("Usage: ")


def test_verify_prints_json_alone_or_with_a_dash_and_writes_it_to_a_file(tmp_path: Path) -> None:
    asked = terminal.asks_for_json
    assert asked(["verify", "m.onnx", "--json"])
    assert asked(["verify", "m.onnx", "--json", "-"])
    assert asked(["verify", "--json=-", "m.onnx"])
    assert asked(["inspect", "--json", "m.onnx"])
    assert not asked(["verify", "m.onnx", "--json", "verdict.json"])
    assert not asked(["inspect", "--", "--json"])
    wrong = fail("verify", tmp_path / "no.onnx", "--json", tmp_path / "v.json")
    assert wrong.startswith("Error: ")


def test_errors_carry_exit_codes_of_the_table() -> None:
    from graftcam.exporter.errors import UnprovenError, VerificationError

    assert GraftcamError.exit_code is VerificationError.exit_code is ExitCode.FAILED
    assert UnprovenError.exit_code is ExitCode.UNPROVEN
    assert ExitCode.INTERRUPTED == 128 + signal.SIGINT
    assert ExitCode.TERMINATED == 128 + signal.SIGTERM
    assert click.UsageError("").exit_code == ExitCode.USAGE


def test_the_table_is_in_the_help_and_in_the_document() -> None:
    helped = call("--help").stdout
    page = (ROOT / "docs" / "terminal.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [f"| {int(one)} | {one.meaning} |" for one in ExitCode]
    for one in ExitCode:
        assert f"    {int(one):<4} {one.meaning}\n" in helped


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program."""
    words = [sys.executable, "-m", "graftcam", *map(str, arguments)]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=ROOT.parent, **options
    )


PROGRAM = [sys.executable, "-c", "from graftcam.cli import main; main(prog_name='graftcam')"]


@pytest.mark.skipif(os.name == "nt", reason="pipes of Windows break otherwise")
@pytest.mark.parametrize("arguments", [["ops"], ["--help"], ["explain", "--help"]])
def test_a_reader_that_goes_ends_the_command_quietly(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *arguments], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.BROKEN_PIPE, b"")


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_an_interruption_has_its_exit_code(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main.commands["ops"], "callback", interrupted)
    said = fail("ops", code=ExitCode.INTERRUPTED)
    assert said.strip() == "Interrupted"


def test_letters_that_the_encoding_lacks_are_no_error(tmp_path: Path) -> None:
    code = "from graftcam.cli import main; main(['cache'], prog_name='graftcam')"
    env = {**os.environ, "PYTHONIOENCODING": "latin-1", "GRAFTCAM_CACHE": str(tmp_path / "東")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "/\\u6771: 0 artifacts" in done.stdout


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Whether ``inspect`` would print colours, by options, environment and terminal."""

    def ask(*options: str, tty: bool = False, **environment: str) -> bool:
        seen: list[bool] = []
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def record(*_: object, **__: object) -> None:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: tty, raising=False)
            seen.append(terminal.coloured())

        monkeypatch.setattr(main.commands["inspect"], "callback", record)
        succeed("inspect", "m.onnx", *options)
        return seen[0]

    return ask


def test_colours_are_for_terminals_unless_the_user_says_otherwise(
    shown: Callable[..., bool],
) -> None:
    assert shown(tty=True)
    assert not shown(tty=False)
    assert not shown(tty=True, NO_COLOR="1")
    assert shown(tty=True, NO_COLOR="")  # as no-color.org has it
    assert shown(tty=False, FORCE_COLOR="1")
    assert not shown(tty=False, FORCE_COLOR="0")
    assert not shown(tty=True, NO_COLOR="1", FORCE_COLOR="1")
    assert not shown(tty=True, TERM="dumb")
    assert shown("--color", "always", tty=False, NO_COLOR="1")
    assert not shown("--color", "never", tty=True, FORCE_COLOR="1")


def test_the_word_error_is_red_only_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert fail("inspect", "no.onnx").startswith("Error: ")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m\x1b[1mError:\x1b[0m no.onnx" in fail_in_colour("inspect", "no.onnx")


def fail_in_colour(*arguments: str) -> str:
    """What a command that fails prints to stderr, with its colours."""
    return CliRunner().invoke(main, [*arguments], color=True).stderr


def test_quiet_leaves_notes_out_and_results_in(artifact: Path, tmp_path: Path) -> None:
    photo = write_images(tmp_path / "in", images(1, 40, 40)) / "0.png"
    usual = succeed("explain", artifact, photo, "-o", tmp_path / "out")
    quiet = succeed("explain", artifact, photo, "-o", tmp_path / "out", "-q")
    assert usual.stderr == "ran on CPUExecutionProvider\n"
    assert quiet.stderr == ""
    assert quiet.stdout == usual.stdout


class Terminal:
    """A terminal of some width, with a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, tty: bool, columns: int = 80) -> None:
        self.now, self.text = 0.0, ""
        monkeypatch.setattr(sys.stderr, "isatty", lambda: tty, raising=False)
        monkeypatch.setattr(progress, "_columns", lambda: columns)
        monkeypatch.setattr(progress.click, "echo", self.echo)
        monkeypatch.setattr(progress, "say", lambda text, **_: self.echo(f"{text}\n"))

    def echo(self, text: object = "", **_: object) -> None:
        self.text += str(text)

    def time(self) -> float:
        return self.now

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.split("\r\x1b[K") if line.strip()]


def test_progress_has_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=True)
    counter = Counter("explaining", stays=True, clock=screen.time)
    for done in (1, 11, 21, 100):
        screen.now += 10
        counter(done, 100)
    counter.close()
    assert screen.lines == [
        "explaining  [....................]  1/100  0:10",
        "explaining  [##..................]  11/100  1:29 left",
        "explaining  [####................]  21/100  1:19 left",
        "explaining  [####################]  100/100  0:40",
        "explaining  [####################]  100/100  0:40",
    ]


@pytest.mark.parametrize("columns", [100, 60, 40, 30])
def test_a_narrow_terminal_gets_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=True, columns=columns)
    counter = Counter("explaining a-rather-long-name.mp4", stays=False, clock=screen.time)
    for done in (1, 5):
        screen.now += 30
        counter(done, 100)
    assert all(len(line) < columns for line in screen.lines)
    assert screen.lines[-1].endswith("5/100  11:52 left")


def test_items_of_an_earlier_run_do_not_count_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=True)
    counter = Counter("x", stays=False, clock=screen.time)
    screen.now = 1
    counter(900, 1000)
    screen.now = 11
    counter(910, 1000)
    assert screen.lines[-1].endswith("910/1000  1:30 left")


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=False)
    counter = Counter("scoring", stays=True, clock=screen.time)
    for done in range(1, 101):
        screen.now += 1
        counter(done, 100)
    counter.close()
    assert screen.text.splitlines() == [
        "scoring  30/100  1:10 left",
        "scoring  60/100  0:40 left",
        "scoring  90/100  0:10 left",
    ]


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=True)
    counter = Counter("x", stays=True, clock=screen.time)
    counter(1, 1)
    counter.close()
    assert screen.text == ""


def test_steps_say_how_long_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=True)
    monkeypatch.setattr(time, "perf_counter", screen.time)
    stops = iter([False, True, False, True])
    steps = Steps(60, "verify")
    monkeypatch.setattr(progress.threading, "Thread", FakeThread)
    for step, seconds in (("capture", 3), ("verify", 7)):
        steps(step)
        screen.now += seconds
        steps._count(FakeEvent(stops))  # pyright: ignore[reportPrivateUsage,reportArgumentType]
    steps.__exit__(None)
    assert screen.lines == [
        "capture ...", "capture ... 0:03", "capture ... 3.0 s",
        "verify ...", "verify ... 0:07, at most 0:53 left", "verify ... 7.0 s",
    ]  # fmt: skip


class FakeThread:
    """Runs nothing."""

    def __init__(self, **_: object) -> None: ...

    def start(self) -> None: ...

    def join(self) -> None: ...


class FakeEvent:
    """Is set when a list says so."""

    def __init__(self, states: Any) -> None:
        self._states = states

    def wait(self, _seconds: float) -> bool:
        return next(self._states)


def test_a_step_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal(monkeypatch, tty=False)
    steps = Steps()
    steps("capture")
    steps.__exit__(ValueError)
    assert screen.text.replace("\n", "") == "capture ... failed"


def test_times_are_written_as_people_write_them() -> None:
    assert [duration(one) for one in (0, 7.4, 61, 3723)] == ["0:00", "0:07", "1:01", "1:02:03"]
