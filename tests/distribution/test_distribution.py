"""The wheel and the source distribution hold what they should, and nothing else."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import graftcam
from support.distributions import Dist, build, tracked

pytestmark = pytest.mark.package
SHIPPED = ("commands/", "demo/", "exporter/", "runtime/")


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def names(sdist: Path) -> set[str]:
    """The files of a source distribution, without its top folder."""
    with tarfile.open(sdist) as archive:
        return {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}


def run(*command: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_indexes_accept_both(dist: Dist) -> None:
    run("twine", "check", "--strict", dist.wheel, dist.sdist)


def test_the_wheel_has_no_file_in_a_wrong_place(dist: Dist) -> None:
    run("check_wheel_contents", dist.wheel)


def test_the_wheel_holds_every_file_of_the_package_and_no_test(dist: Dist) -> None:
    packed = {name for name in contents(dist.wheel) if ".dist-info/" not in name}
    root = {"__init__.py", "__main__.py", "cli.py", "py.typed"}
    assert packed == {
        f"graftcam/{name}" for name in tracked() if name.startswith(SHIPPED) or name in root
    }


def test_a_wheel_of_the_checkout_is_the_wheel_of_the_source_distribution(
    dist: Dist, tmp_path: Path
) -> None:
    build(dist.tree, tmp_path, "--wheel")
    assert contents(next(tmp_path.glob("*.whl"))) == contents(dist.wheel)


def test_the_source_distribution_holds_the_tests_and_no_pictures_of_documents(dist: Dist) -> None:
    held = names(dist.sdist)
    made = {"PKG-INFO", "setup.cfg"}
    made |= {name for name in held if name.startswith("graftcam.egg-info/")}
    missing = {
        name for name in set(tracked()) - held
        if not name.startswith("docs/images/") and name != ".gitignore"
    }  # fmt: skip
    assert (missing, held - made - set(tracked())) == (set(), set())
    assert not any(name.startswith("docs/images/") for name in held)
    assert dist.sdist.stat().st_size < 5e6


def test_the_metadata_say_what_it_is(dist: Dist) -> None:
    files = contents(dist.wheel)
    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(files[name])
    settings = tomllib.loads((dist.tree / "pyproject.toml").read_text("utf-8"))
    assert metadata["Version"] == graftcam.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra") or ()) == {
        *settings["project"]["optional-dependencies"]
    }
    address = settings["tool"]["graftcam"]["repository"]
    assert (metadata.get_all("Project-URL") is not None) == bool(address)
    base = [one for one in metadata.get_all("Requires-Dist") or () if "extra ==" not in one]
    assert sorted(one.split(">")[0] for one in base) == ["click", "numpy", "opencv-python-headless"]
