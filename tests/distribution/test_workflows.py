"""The workflows run what the project says they run, with the least rights."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def load(name: str) -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / name).read_text("utf-8")
    return yaml.safe_load(text)


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_but_those_that_its_jobs_ask_for(path: Any) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    rights = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    expected = {"build": {"contents": "read"}, "publish": {"id-token": "write"}}
    assert rights == (expected if path.name == "release.yml" else {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_have_versions_and_checkouts_keep_no_credentials(path: Any) -> None:
    used = [step for step in steps(load(path.name)) if "uses" in step]
    assert used
    for step in used:
        action, _, version = step["uses"].partition("@")
        assert re.fullmatch(r"v\d+|release/v1|[0-9a-f]{40}", version), step["uses"]
        if action == "actions/checkout":
            assert step["with"]["persist-credentials"] is False
    # What somebody else can name, such as a branch, never gets into a shell's text.
    for step in steps(load(path.name)):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_workflows_exist(path: Any) -> None:
    commands = [step["run"] for step in steps(load(path.name)) if "run" in step]
    targets = [
        target for command in commands if command.startswith("make ")
        for target in command.split()[1:] if "=" not in target
    ]  # fmt: skip
    assert targets
    for target in targets:
        assert f"\n{target}:" in MAKEFILE, target
    for script in re.findall(r"scripts/\w+\.py", "\n".join(commands)):
        assert (ROOT / script).is_file()


def test_every_version_of_python_that_is_promised_is_tested() -> None:
    jobs = load("ci.yml")["jobs"]
    classifiers = SETTINGS["project"]["classifiers"]
    promised = [one.rpartition(" ")[2] for one in classifiers if ":: Python :: 3." in one]
    assert promised[0] == SETTINGS["project"]["requires-python"].removeprefix(">=")
    for job in ("test", "runtime"):
        assert jobs[job]["strategy"]["matrix"]["python"] == promised
    systems = jobs["runtime"]["strategy"]["matrix"]["os"]
    assert {one.split("-")[0] for one in systems} == {"ubuntu", "macos", "windows"}


def test_a_release_is_checked_built_and_published_without_a_password() -> None:
    workflow = load("release.yml")
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    commands = [step["run"] for step in build["steps"] if "run" in step]
    assert commands == [
        'python scripts/check_release.py "$GITHUB_REF_NAME"', "make package DIST=dist",
    ]  # fmt: skip
    assert publish["needs"] == "build"
    assert publish["environment"]["name"] == "pypi"
    upload = publish["steps"][-1]
    assert upload["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert upload["with"] == {"attestations": True}
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")


def test_help_names_every_target_of_make() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    named = set(re.findall(r'@echo "make ([\w-]+) ', MAKEFILE))
    # `node` installs what the tests of Node.js need; `help`, `format` and `clean` say what they do.
    assert set(phony.split()) - named == {"help", "format", "clean", "node"}


def test_continuous_integration_runs_targets_that_exist() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    targets = [name for line in re.findall(r"^make (.*)$", script, re.M) for name in line.split()]
    assert {"demo", "lint", "test-runtime", "test", "package"} <= set(targets)
    for target in targets:
        assert f"\n{target}:" in MAKEFILE, target
