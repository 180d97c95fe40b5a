"""`write_repository` writes a model repository for Triton Inference Server and KServe.

    FOLDER/NAME/config.pbtxt     inputs, outputs, batching; the metadata as parameter "graftcam"
    FOLDER/NAME/labels.txt       class names, for Triton's classification extension
    FOLDER/NAME/1/model.onnx     the artifact (with external weights, a folder of this name)

The fields are those of Triton's ModelConfig (model_config.proto), in protobuf's text format.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import PackageError, system_errors
from ...json_text import write_json
from ...session.session import Session
from ...spec import METADATA_KEY
from ...writing import staged
from .layout import LABELS, copy_artifact, target_of, write_labels

_TYPES = {"float16": "FP16", "bfloat16": "BF16", "float": "FP32", "double": "FP64"} | {
    name: name.upper()
    for name in (
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "string",
    )
}  # fmt: skip


def write_repository(
    artifact: Path,
    folder: Path,
    name: str | None = None,
    max_batch: int = 0,
    *,
    tensors: bool = False,
) -> Path:
    """Write the model's folder, complete or not at all, and return it.

    Args:
        artifact: The file.
        folder: The model repository; created if it is missing.
        name: The model's name on the server; None: the artifact's.
        max_batch: Number of images that Triton may join in one run; 0: each request is a run.
        tensors: List activations and gradients as outputs too. Triton fetches every output that is
            listed, requested or not.

    Raises:
        PackageError: Triton cannot join requests, a model of this name exists or it is no name of a
            folder, or the folder cannot be written.
        SessionError: ONNX Runtime is missing or cannot load the file.
        SpecError: The file is not an artifact.
    """
    target = target_of(artifact, folder, name)
    session = Session(artifact, "cpu")
    config = describe(session, target.name, max_batch, tensors=tensors)
    failed = f"cannot write {target}"
    with staged(folder, PackageError, target) as place, system_errors(PackageError, failed):
        draft = place / target.name
        draft.mkdir()
        (draft / "config.pbtxt").write_text(config, "utf-8")
        write_labels(draft, session.spec.labels)
        copy_artifact(artifact, draft / "1", in_folder=True)
    return target


def describe(session: Session, name: str, max_batch: int, *, tensors: bool) -> str:
    """Return the text of config.pbtxt; see `write_repository` for the arguments and errors.

    Triton joins requests only for models without optional inputs. If it may join them, inputs that
    have a default are left out: the model then explains the predicted class.
    """
    spec, batched = session.spec, max_batch > 0
    hidden: set[str] = set()
    if not tensors:
        hidden = {value for layer in spec.layers for value in (layer.activations, layer.gradients)}
    lines = [f"name: {_quoted(name)}", 'platform: "onnxruntime_onnx"']
    lines.append(f"max_batch_size: {max_batch}")
    if batched:
        lines.append("dynamic_batching { }")
    for port in session.inputs.values():
        if port.required or not batched:
            lines += _tensor(session, "input", port.name, port.shape, batched)
    for output, extents in session.outputs.items():
        if output not in hidden:
            lines += _tensor(session, "output", output, extents, batched)
    value = f"value {{ string_value: {_quoted(spec.to_json())} }}"
    lines.append(f"parameters {{ key: {_quoted(METADATA_KEY)} {value} }}\n")
    return "\n".join(lines)


def _tensor(
    session: Session, field: str, name: str, extents: Sequence[int | None], batched: bool
) -> list[str]:
    """Return the lines of one input or output."""
    kind = _TYPES.get(session.types[name].removeprefix("tensor(").removesuffix(")"))
    if kind is None:
        raise PackageError(f"'{name}' is a {session.types[name]}, which Triton does not serve")
    if batched and (not extents or extents[0] is not None):
        raise PackageError(
            f"'{name}' has no open batch axis, so Triton cannot join requests; leave --max-batch "
            "out, or export without --no-dynamic-batch"
        )
    dims = [-1 if extent is None else extent for extent in (extents[1:] if batched else extents)]
    # Triton has no tensors without axes: `reshape` removes the single 1 again.
    shape = [f"dims: {dims}"] if dims else ["dims: [1]", "reshape { shape: [] }"]
    lines = [f"name: {_quoted(name)}", f"data_type: TYPE_{kind}", *shape]
    if field == "input" and not session.inputs[name].required:
        lines.append("optional: true")
    classes, scored = list(extents[1:]), name == session.spec.score.output
    # Triton's classification extension takes one number for each class.
    if field == "output" and scored and classes == [len(session.spec.labels or [])]:
        lines.append(f"label_filename: {_quoted(LABELS)}")
    return [f"{field} {{", *(f"  {line}" for line in lines), "}"]


def _quoted(text: str) -> str:
    """Quote a string for protobuf's text format, whose escapes are JSON's."""
    return write_json(text, ensure_ascii=False)
