"""`shrink` copies an artifact with its forward part in int8 or float16; the added part is float32.

ONNX Runtime's own tools do the conversion. Scores stay float32: a logit at the end of an 8-bit
range would have no gradient, and close ones would tie. The copy has no derivatives to compare with,
so it is compared with the artifact that it was made from: by predictions and by maps.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..runtime.custody.digests import check_digests, write_digests
from ..runtime.inputs.images import as_rgb
from ..runtime.inputs.preprocess import prepare
from ..runtime.limits import MAX_PIXELS
from ..runtime.session.session import Session
from ..runtime.spec import METADATA_KEY, Spec
from ..runtime.writing import guard, protected, staged
from .artifact.only_if_asked import run_always
from .artifact.save import tool_versions, write_record
from .clock import Progress
from .errors import CaptureError, VerificationError, WriteError, first_line
from .graph.external_data import keep_beside, take_in
from .graph.open_file import open_file, open_proto
from .verify.agreement import AT_LEAST, check_agreement
from .verify.verdict.findings import Verdict

Precision = Literal["int8", "float16"]
_OWN = "grad/"  # prefix of the names of all nodes that an export adds


@dataclass(frozen=True)
class Shrunk:
    """The smaller artifact.

    Attributes:
        path: Its file.
        precision: Precision of its forward part.
        bytes: Sizes of the artifact before and after.
        verdict: The agreement of the two.
    """

    path: Path
    precision: Precision
    bytes: tuple[int, int]
    verdict: Verdict


def shrink(
    artifact: Path,
    path: Path,
    precision: Precision,
    images: Sequence[Path],
    *,
    at_least: float = AT_LEAST,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = lambda step: None,
) -> Shrunk:
    """Write a copy of an artifact whose forward part has fewer bits.

    int8 is ONNX Runtime's static quantisation in QDQ form: weights per channel, activations by
    their ranges on ``images``.

    Args:
        artifact: A float32 artifact.
        path: The copy; it appears complete, or not at all.
        precision: Precision of the forward part.
        images: Image files like those that the model will see: for ranges and comparison.
        at_least: Smallest mean similarity of maps (cosine) and share of equal predictions.
        max_pixels: Number of pixels that an image may have.
        progress: Called with the name of each step as it begins.

    Raises:
        CaptureError: The artifact is not float32, or stores no preprocessing.
        VerificationError: The two do not agree; nothing is written.
        WriteError: The file cannot be written, or is one that is read.
        GraftcamError: The artifact or an image cannot be read.
        CustodyError: The artifact changed after its export.
    """
    if precision not in get_args(Precision):
        raise CaptureError(f"unknown precision {precision!r}; there is {get_args(Precision)}")
    files = [artifact, artifact.with_name(f"{artifact.name}.data"), *images]
    guard(path, files, WriteError)
    session = Session(artifact, "cpu")
    session.max_pixels = max_pixels
    spec = session.spec
    digests = check_digests(artifact, required=False)
    _check(artifact, spec)
    with protected(files), staged(path.parent, WriteError, path, last=path.name) as folder:
        place = folder / path.name
        progress("convert")
        with _without_branches(artifact, spec) as whole:
            if precision == "int8":
                _quantise(whole, place, spec, _calibration(session, images))
            else:
                _halve(whole, place, spec)
        made = replace(spec, source={**spec.source, "precision": precision}, tools=tool_versions())
        model = onnx.load(place)
        del model.metadata_props[:]
        model.metadata_props.add(key=METADATA_KEY, value=made.to_json())
        onnx.save(model, place)
        write_digests(place, None if digests is None else digests.heads)
        progress("compare")
        verdict = check_agreement(place, artifact, images, at_least, max_pixels)
        if verdict.failures:
            reasons = "; ".join(one.reason for one in verdict.failures)
            raise VerificationError(
                f"the {precision} artifact does not agree with {artifact.name}, nothing was "
                f"written: {reasons}; give more or other images, or a later layer"
            )
        write_record(replace(made, verification=verdict.record()), place)
    return Shrunk(path, precision, (artifact.stat().st_size, path.stat().st_size), verdict)


@contextlib.contextmanager
def _without_branches(artifact: Path, spec: Spec) -> Generator[Path]:
    """The artifact, or a copy whose nodes all run always: converters do not look into an If."""
    if spec.detector is None:
        yield artifact
        return
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        model = open_file(artifact)
        take_in(model, artifact)
        run_always(model.graph)
        passes.RemoveUnusedNodesPass()(model)
        whole = Path(folder) / artifact.name
        keep_beside(model, whole)
        ir.save(model, whole)
        yield whole


def _calibration(session: Session, images: Sequence[Path]) -> Any:
    """Preprocessed images, one for each run, as ONNX Runtime's calibration reads them."""
    transform = session.spec.preprocess
    assert transform is not None
    count = session.inputs[transform.input].shape[0] or 1
    rows = (prepare(transform, as_rgb(path, session.max_pixels)) for path in images)
    feeds = ({**session.defaults, transform.input: np.stack([row] * count)} for row in rows)
    return SimpleNamespace(get_next=partial(next, feeds, None))


def _check(artifact: Path, spec: Spec) -> None:
    if "precision" in spec.source:
        raise CaptureError(
            f"{artifact.name} is {spec.source['precision']} already; give the one it was made from"
        )
    if spec.score.kind == "similarity" and not spec.score.has_bank:
        raise CaptureError(
            f"{artifact.name} compares images with texts that are fed, and predicts nothing by "
            "itself that a copy could be compared by; export it with a bank (--bank), and shrink "
            "that"
        )
    if spec.preprocess is None or spec.preprocess.embedded or spec.score_weights is not None:
        raise CaptureError(
            f"{artifact.name} needs stored preprocessing (not embedded) and a score of classes; "
            "export it so"
        )


def _float32_nodes(model: onnx.ModelProto, spec: Spec) -> list[str]:
    """Return the nodes that stay float32: the added nodes, and those that compute the scores."""
    outputs = {n for one in spec.by_output() for n in (one.score.value, one.score.output)}
    return [
        node.name
        for node in model.graph.node
        if node.name.startswith(_OWN) or outputs.intersection(node.output)
    ]


def _quantise(artifact: Path, path: Path, spec: Spec, calibration: Any) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    excluded = _float32_nodes(open_proto(artifact), spec)
    try:
        with _quiet():
            quantize_static(
                artifact, path, calibration, quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                nodes_to_exclude=excluded,
            )  # fmt: skip
    except (ValueError, RuntimeError, KeyError) as error:
        raise CaptureError(f"ONNX Runtime cannot quantise it: {first_line(error)}") from error


def _halve(artifact: Path, path: Path, spec: Spec) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = open_proto(artifact, weights=True)
    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that float16 rounds to zero
        half = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=_float32_nodes(model, spec)
        )
    # The tool adds a Cast of the same name for each node that reads a value as an output.
    first = {node.output[0]: node for node in reversed(half.graph.node)}
    unique = [node for node in half.graph.node if node is first[node.output[0]]]
    del half.graph.node[:]
    half.graph.node.extend(unique)
    onnx.save(half, path)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the tools' messages, which are not meant for the user."""
    import onnxruntime

    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        onnxruntime.set_default_logger_severity(2)
