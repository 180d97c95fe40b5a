"""`graftcam export --config FILE` exports the artifacts of a release that are not up to date.

    [defaults]                       # options of `graftcam export`, for all models
    verify = "full"
    images = "images"

    [resnet50]                       # one table for each model
    source = "torchvision:resnet50"
    weights = "resnet50.pt"
    to = "dist/resnet50.onnx"
    layer = ["layer3", "layer4"]

Keys are the command's long options. Paths are relative to the file. ``<stem>.lock.json`` beside it
has a digest of each artifact and one of its sources. If both are unchanged, the model is not
exported again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import click

from ..runtime.checks import matches, short
from ..runtime.errors import GraftcamError, system_errors
from ..runtime.reading import file_sha256
from ..runtime.strict_json import read_json
from ..runtime.writing import replace_file
from .config_places import check_places

# Paths that an export writes: they are no sources.
_WRITTEN = {"to", "report"}
# Options that say how the command runs, not what a model is.
_OF_THE_COMMAND = {"--config", "--fresh", "--json", "--quiet", "--color"}


@dataclass(frozen=True)
class Entry:
    """One model of a release.

    Attributes:
        name: Its table in the file.
        path: The artifact.
        arguments: Its arguments of `graftcam export`.
        reads: Files and folders that the arguments name.
        report: The folder of its report, if it has one.
        heads: Whether heads are written beside the artifact.
    """

    name: str
    path: Path
    arguments: list[str]
    reads: list[Path]
    report: Path | None
    heads: bool

    def digests(self) -> dict[str, str]:
        """Return the artifact's digest, and that of its sources.

        Sources are the arguments, the files that they name, and the tools' versions. For a factory
        (``package.module:factory``) only the module's own file counts, not its imports.
        """
        from ..exporter.artifact.save import tool_versions

        total = hashlib.sha256(json.dumps([self.arguments, tool_versions()]).encode())
        with system_errors(GraftcamError, f"cannot read the files of {self.name}"):
            for path in self.reads:
                inside = sorted(part for part in path.rglob("*") if part.is_file())
                for file in inside if path.is_dir() else [path]:
                    total.update(f"{file.name} {file_sha256(file)}".encode(errors="surrogatepass"))
            return {"from": total.hexdigest(), "artifact": file_sha256(self.path)}


def lock_of(config: Path) -> Path:
    """Return the lock file of a release's TOML file."""
    return config.with_name(f"{config.stem}.lock.json")


class Lock:
    """Digests of the last exports and of their sources, in ``<stem>.lock.json``."""

    def __init__(self, config: Path) -> None:
        self._path = lock_of(config)
        try:
            found: Any = read_json(self._path.read_bytes())
        except (OSError, ValueError):
            found = None
        # If the file is missing, truncated or of another form, everything is exported again.
        right = matches(found, dict[str, dict[str, str]])
        self._digests = cast("dict[str, dict[str, str]]", found) if right else {}

    def is_current(self, entry: Entry) -> bool:
        """Whether the artifact exists, and neither it nor its sources have changed."""
        known = self._digests.get(entry.name)
        return known is not None and entry.path.is_file() and known == entry.digests()

    def record(self, entry: Entry) -> None:
        """Store the digests of an artifact that has just been exported."""
        self._digests = {**self._digests, entry.name: entry.digests()}
        text = json.dumps(self._digests, indent=1, sort_keys=True) + "\n"
        replace_file(self._path, text.encode(), GraftcamError)


def read_config(path: Path, command: click.Command, only: str | None = None) -> list[Entry]:
    """Read the models of a release.

    Args:
        path: The TOML file.
        command: `graftcam export`, whose options the keys are.
        only: Name of the only model to read; None: all.

    Raises:
        GraftcamError: The file cannot be read or has no such model, a key or value is wrong, or
            tables would overwrite each other or what they read.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except RecursionError:
        raise GraftcamError(f"cannot read {path}: values are nested too deeply") from None
    except (OSError, ValueError) as error:
        raise GraftcamError(f"cannot read {path}: {error}") from error
    loose = sorted(name for name, table in tables.items() if not isinstance(table, dict))
    defaults = {} if loose else tables.pop("defaults", {})
    if loose or not tables:
        raise GraftcamError(
            f"{path}: {f'{loose} stand outside of a table' if loose else 'there is no model'}; "
            "write a table [name] with `source` and `to` for each"
        )
    if only is not None and only not in tables:
        raise GraftcamError(f"{path} has no model {only!r}; it has {', '.join(tables)}")
    chosen = tables if only is None else {only: tables[only]}
    entries = [_entry(path, name, {**defaults, **table}, command) for name, table in chosen.items()]
    check_places(entries, path, lock_of(path))
    return entries


def _entry(path: Path, name: str, table: Mapping[str, Any], command: click.Command) -> Entry:
    options = {
        long.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
        for long in option.opts
        if long.startswith("--") and long not in _OF_THE_COMMAND
    }
    unknown = sorted(set(table) - set(options) - {"source"})
    missing = sorted({"source", "to"} - set(table))
    if unknown or missing:
        raise GraftcamError(
            f"{path}: [{name}] has unknown keys {unknown} and lacks {missing}; "
            f"{_nearest(unknown, options)}keys are source, {', '.join(sorted(options))}"
        )
    arguments: list[str] = []
    reads: list[Path] = []
    for key, value in table.items():
        option = options.get(key)
        path_like = (
            option is None
            or key in ("weights", "preprocess", "labels")
            or isinstance(option.type, click.Path)
        )
        texts = _texts(path, name, key, value, option, paths=path_like)
        placed = [_placed(path.parent, key, text) for text in texts] if path_like else texts
        if option is None and placed[0].startswith("-"):
            raise GraftcamError(
                f"{path}: [{name}] {key} = {short(value)} begins with a dash, as options do, and "
                "is no file; give a model"
            )
        if path_like and key not in _WRITTEN:
            # Labels of one of several outputs are OUTPUT=FILE.
            files = (Path(part) for text in placed for part in {text, text.partition("=")[2]})
            reads += sorted(file for file in files if file.name and _exists(file))
        if option is None:
            arguments = [*placed, *arguments]
        elif option.is_flag:
            arguments += [f"--{key}"] if value else option.secondary_opts
        else:
            arguments += [part for text in placed for part in (f"--{key}", text)]
    named = [one for key in ("source", "preprocess") for one in _factory(str(table.get(key, "")))]
    report = path.parent / table["report"] if "report" in table else None
    heads = ("--extra", "head") in pairwise(arguments)
    return Entry(name, path.parent / table["to"], arguments, reads + named, report, heads)


def _texts(
    path: Path, name: str, key: str, value: Any, option: click.Option | None, *, paths: bool
) -> list[str]:
    """Convert a key's value to arguments of the command line, one for each repetition."""
    flag = option is not None and option.is_flag
    many = option is not None and (option.multiple or hasattr(option.type, "kind")) and key != "to"
    plain = (str,) if paths else (str, int, float)
    entries = cast("list[Any]", value) if many and isinstance(value, list) else [value]
    right = all(isinstance(one, plain) and not isinstance(one, bool) for one in entries)
    if not (isinstance(value, bool) if flag else right):
        remedy = "true or false" if flag else "text" if paths else "one value"
        raise GraftcamError(f"{path}: [{name}] {key} = {short(value)}; give {remedy}")
    if not isinstance(value, list):
        return [str(value)]
    parts = [str(part) for part in value]
    # [3, 96, 96] is one shape, although the option may be repeated.
    single = option is None or not option.multiple or all(isinstance(one, int) for one in value)
    return [",".join(parts)] if single else parts


def _nearest(unknown: Sequence[str], known: Collection[str]) -> str:
    """Return what an unknown key may have been meant for, as the part of a message."""
    near = [one for key in unknown for one in get_close_matches(key, ("source", *known), n=1)]
    return f"did you mean {', '.join(map(repr, near))}? " if near else ""


def _placed(folder: Path, key: str, text: str) -> str:
    """Resolve a path relative to the file's folder; return other texts unchanged."""
    path = folder / text
    if key in _WRITTEN:
        _check_inside(folder, key, text)
    if key in _WRITTEN or _exists(path):
        return str(path)
    output, equals, file = text.partition("=")
    named = key == "labels" and equals and _exists(folder / file)
    return f"{output}={folder / file}" if named else text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long for any file
        return False


def _check_inside(folder: Path, key: str, text: str) -> None:
    """Refuse to write outside of the file's folder, unless the path is absolute on purpose."""
    inside = (folder / text).resolve().is_relative_to(folder.resolve())
    if not inside and not Path(text).is_absolute():
        raise GraftcamError(
            f"{key} = {text!r} leads out of {folder.resolve()}; give an absolute path if it is "
            "meant"
        )


def _factory(source: str) -> list[Path]:
    """Return the file of ``package.module`` in ``package.module:factory``."""
    module = source.partition(":")[0]
    if ":" not in source or module in ("torchvision", "timm"):
        return []
    from ..exporter.source.attribute import find_in_working_folder

    find_in_working_folder()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []  # the export will report the error
    return [Path(found.origin)] if found and found.origin and Path(found.origin).exists() else []
