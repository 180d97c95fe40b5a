"""`write_models` writes a folder for OpenVINO Model Server.

    FOLDER/config.json           the models, each with the settings that it was proven with
    FOLDER/NAME/graftcam.json    the metadata: layers, labels, preprocessing
    FOLDER/NAME/labels.txt       class names
    FOLDER/NAME/1/model.onnx     the artifact, with its weights beside it

The fields of config.json are those of the server's documentation ("model_config_list").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import PackageError, system_errors
from ...json_text import write_json
from ...session.engines.openvino import SETTINGS
from ...session.session import Session
from ...writing import replace_file, staged
from .layout import copy_artifact, target_of, write_labels

_CONFIG = "config.json"
_MODELS = "model_config_list"


def write_models(
    artifact: Path, folder: Path, name: str | None = None, mounted: str = "/models"
) -> Path:
    """Write the model's folder, complete or not at all, add it to the list, and return it.

    Args:
        artifact: The file, of the profile ``openvino``.
        folder: The folder of models; created if it is missing.
        name: The model's name on the server; None: the artifact's.
        mounted: Where the server will find ``folder``.

    Raises:
        PackageError: The artifact is of another profile, a model of this name exists or it is no
            name of a folder, the list is another program's, or the folder cannot be written.
        SessionError: ONNX Runtime is missing or cannot load the file.
        SpecError: The file is not an artifact.
    """
    target = target_of(artifact, folder, name)
    spec = Session(artifact, "cpu").spec
    if spec.profile != "openvino":
        raise PackageError(
            f"{artifact} has profile {spec.profile or 'default'}, which OpenVINO gets wrong; "
            "export it with --engine openvino"
        )
    config = _with_model(folder / _CONFIG, target.name, mounted)
    failed = f"cannot write {target}"
    with staged(folder, PackageError, target) as place, system_errors(PackageError, failed):
        draft = place / target.name
        draft.mkdir()
        (draft / "graftcam.json").write_text(spec.to_json(), "utf-8")
        write_labels(draft, spec.labels)
        copy_artifact(artifact, draft / "1", in_folder=False)
    replace_file(folder / _CONFIG, config.encode(), PackageError)
    return target


def _with_model(path: Path, name: str, mounted: str) -> str:
    """The text of the list with one more model."""
    entry: dict[str, Any] = {
        "name": name,
        "base_path": f"{mounted.rstrip('/')}/{name}",
        "target_device": "CPU",
        "plugin_config": {key: str(value) for key, value in SETTINGS.items()},
    }
    config: Any = {_MODELS: []}
    if path.exists():
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PackageError(
                f"cannot read {path}: {error}; repair it, or give another folder"
            ) from None
    known = config.get(_MODELS) if isinstance(config, dict) else None
    if not isinstance(known, list):
        raise PackageError(f"{path} has no {_MODELS}: it is no list of OpenVINO Model Server")
    others = [one for one in known if _name(one) != name]
    return write_json({**config, _MODELS: [*others, {"config": entry}]}, indent=2) + "\n"


def _name(entry: Any) -> Any:
    config = entry.get("config") if isinstance(entry, dict) else None
    return config.get("name") if isinstance(config, dict) else None
