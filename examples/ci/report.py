"""Export and verify the models of a release, and write a report for a pull request.

    python report.py --config release.toml --out release-report --images images --previous last

It needs `graftcam` on the path, and nothing else. ``report.md`` has the verdicts; ``verdicts`` the
reports of `graftcam verify`, ``maps`` explained images, ``diff`` comparisons with the last release.
The exit code is that of the worst model: 1 if one failed, 3 if something is not proven, else 0.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

MARKER = "<!-- graftcam-report -->"
"""By this line a later run finds its comment."""

_FAILED, _UNPROVEN = 1, 3
_WORDS = {"pass": "may ship", "fail": "**may not ship**", "unproven": "*not proven*"}
_MOST = 60_000  # characters; a comment has at most 65,536
_REASONS = 20  # that are listed of one model


def main() -> int:
    """Do all steps, and return the exit code."""
    options = _options()
    out: Path = options.out
    (out / "verdicts").mkdir(parents=True, exist_ok=True)
    exported = _graftcam("export", "--config", options.config, "--json")
    models: list[dict[str, Any]] = [_checked(row, options) for row in _json(exported.stdout, [])]
    if not models:  # such as a file that cannot be read
        error = _json(exported.stderr.strip().rpartition("\n")[2], {}).get("error")
        models = [{"model": options.config.name, "verdict": "fail", "reasons": [
            str(error or exported.stderr.strip() or "nothing was exported")]}]  # fmt: skip
    report = _report(models)
    (out / "report.md").write_text(f"{MARKER}\n{report}", encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(report)
    print(report)
    verdicts = [one["verdict"] for one in models]
    return _FAILED if "fail" in verdicts else _UNPROVEN if "unproven" in verdicts else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Export and verify the models of a release.")
    parser.add_argument("--config", type=Path, default=Path("release.toml"))
    parser.add_argument("--out", type=Path, default=Path("release-report"))
    parser.add_argument("--images", type=Path, help="a folder of images to explain and compare on")
    parser.add_argument("--previous", type=Path, help="a folder of the last release's artifacts")
    parser.add_argument("--at-least", default="0.9", help="how similar its maps must be")
    found = parser.parse_args()
    # Inputs of an action that are not given are empty.
    for name in ("images", "previous"):
        given = getattr(found, name)
        setattr(found, name, given if given and given != Path() and given.exists() else None)
    return found


def _graftcam(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command; its notes go to the log."""
    words = [*shlex.split(os.environ.get("GRAFTCAM", "graftcam")), *map(str, arguments)]
    print("$ graftcam", *words[len(words) - len(arguments) :], file=sys.stderr, flush=True)
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    sys.stderr.write(done.stderr)
    return done


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


def _checked(row: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Verify a model that was exported, explain images with it, and compare it with the last."""
    model: dict[str, Any] = {"model": row["model"], "verdict": "fail", "reasons": []}
    if row["state"] == "failed":
        model["reasons"] = [row["error"]]
        return model
    artifact, name = Path(row["artifact"]), row["model"]
    file = options.out / "verdicts" / f"{name}.json"
    file.unlink(missing_ok=True)  # an earlier run's
    done = _graftcam("verify", artifact, "--json", file)
    verdict = _json(file.read_text("utf-8") if file.exists() else "", None)
    if verdict is None:
        model["reasons"] = [done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ")]
        return model
    open_checks = [one for one in verdict["checks"] if one["status"] in ("fail", "unproven")]
    model.update(
        verdict=verdict["verdict"], bytes=verdict["artifact"]["bytes"],
        reference=verdict["reference"], worst=_worst(verdict["checks"]),
        reasons=[f"{one['check']}: {one['reason'] or one['subject']}" for one in open_checks],
    )  # fmt: skip
    if options.images:
        done = _graftcam("explain", artifact, options.images, "-o", options.out / "maps" / name)
        if done.returncode:
            model["reasons"].append("some images could not be explained")
    if options.images and options.previous:
        _compare(model, artifact, options)
    return model


def _compare(model: dict[str, Any], artifact: Path, options: argparse.Namespace) -> None:
    """Compare a model's maps with those of the last release's artifact of its name."""
    before = options.previous / artifact.name
    if not before.exists():
        return
    folder = options.out / "diff" / model["model"]
    done = _graftcam("diff", before, artifact, options.images, "-o", folder, "--json",
                     "--at-least", options.at_least)  # fmt: skip
    found = _json(done.stdout, {})
    model.update(similarity=found.get("similarity"), agreement=found.get("agreement"))
    if done.returncode:
        model["verdict"] = "fail"
        model["reasons"].append(
            f"its maps differ from the last release's by more than {options.at_least}"
            if found else done.stderr.strip().rpartition("\n")[2]
        )  # fmt: skip


def _worst(checks: list[dict[str, Any]]) -> float | None:
    """Return the largest relative error of the gradients."""
    values = [
        one["value"] for one in checks if one["check"] == "gradients" and one["value"] is not None
    ]
    return max(values, default=None)


def _report(models: list[dict[str, Any]]) -> str:
    """Write the report in Markdown."""
    bad = sum(one["verdict"] == "fail" for one in models)
    unproven = sum(one["verdict"] == "unproven" for one in models)
    count = f"{len(models)} model{'s' * (len(models) != 1)}"
    state = f"{bad} may not ship" if bad else f"{unproven} not proven" if unproven else "may ship"
    compared = any(one.get("similarity") is not None for one in models)
    columns = ["model", "verdict", "gradients differ by", "reference", "MB"]
    columns += ["maps similar", "same prediction"] if compared else []
    lines = [f"## graftcam: {count}, {state}", "", _row(columns), _row(["---"] * len(columns))]
    lines += [_row(_cells(one, compared)) for one in models]
    for one in models:
        if one["reasons"]:
            lines += ["", f"<details open><summary>{_plain(one['model'])}</summary>", ""]
            lines += [f"- {_plain(reason)}" for reason in one["reasons"][:_REASONS]]
            more = len(one["reasons"]) - _REASONS
            lines += [f"- and {more} more"] if more > 0 else []
            lines += ["", "</details>"]
    lines += ["", _footer()]
    text = "\n".join(lines) + "\n"
    return text if len(text) <= _MOST else f"{text[:_MOST]}\n\n...\n"


def _cells(model: dict[str, Any], compared: bool) -> list[str]:
    worst, size = model.get("worst"), model.get("bytes")
    cells = [
        _plain(model["model"]), _WORDS.get(model["verdict"], _plain(model["verdict"])),
        "" if worst is None else f"{worst:.1e}", _plain(model.get("reference", "")),
        "" if size is None else f"{size / 1e6:.1f}",
    ]  # fmt: skip
    if compared:
        similarity, agreement = model.get("similarity"), model.get("agreement")
        cells += ["" if similarity is None else f"{similarity:.3f}"]
        cells += ["" if agreement is None else f"{agreement:.1%}"]
    return cells


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _footer() -> str:
    """Say which commit this is about, and where the files are."""
    server, place = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    run, commit = os.environ.get("GITHUB_RUN_ID"), os.environ.get("GRAFTCAM_COMMIT", "")[:10]
    about = f"Commit {commit}. " if commit else ""
    if not (server and place and run):
        return f"{about}Verdicts and maps are in the folder of this report."
    return f"{about}[Verdicts, maps and artifacts]({server}/{place}/actions/runs/{run})"


def _plain(text: object) -> str:
    """Return text that is no markup, ends no cell, and calls nobody by name."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    for mark in "\\`*_[]|":
        line = line.replace(mark, f"\\{mark}")
    return line.replace("@", "@&#8203;")


if __name__ == "__main__":
    sys.exit(main())
