"""The metadata are read strictly: a fault of each kind is one line that names the field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import SessionError, SpecError
from graftcam.runtime.session.optimized_for import read_target
from graftcam.runtime.spec import Preprocess, Spec
from graftcam.runtime.strict_json import DEPTH, read_json
from support.artifacts import spec, write_artifact
from support.box_artifacts import letterbox, write_detector
from support.record_faults import DETECTOR_FAULTS, FAULTS, TEXTS, Fault, changed, record


def refused(text: str) -> str:
    """The error's message, which must be one line."""
    with pytest.raises(SpecError) as caught:
        Spec.from_json(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("export again")
    return str(caught.value)


def test_a_right_record_comes_back_as_it_was() -> None:
    for data in (record(), record(detector=True)):
        assert json.loads(Spec.from_json(json.dumps(data)).to_json()) == data


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_line_that_names_the_field(fault: Fault) -> None:
    message = refused(json.dumps(changed(record(), fault.place, fault.value)))
    assert re.search(fault.message, message)


@pytest.mark.parametrize("fault", DETECTOR_FAULTS.values(), ids=DETECTOR_FAULTS)
def test_a_fault_of_a_detector_is_too(fault: Fault) -> None:
    data = changed(record(detector=True), fault.place, fault.value)
    assert re.search(fault.message, refused(json.dumps(data)))


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS)
def test_a_text_that_is_no_record_is_refused(text: str, message: str) -> None:
    assert re.search(message, refused(text))


def test_a_message_stays_short_and_plain_whatever_the_names_are() -> None:
    odd = dict.fromkeys([f"\x1b[2J{number}" for number in range(1000)], 1)
    for data in ({**record(), **odd}, changed(record(), ("verification", "errors"), odd)):
        message = refused(json.dumps(data))
        assert len(message) < 400
        assert "\x1b" not in message


def test_json_as_deep_as_allowed_is_read() -> None:
    deep = "[" * (DEPTH - 1) + "1e2" + "]" * (DEPTH - 1)
    assert json.dumps(read_json(deep)) == deep.replace("1e2", "100.0")
    assert read_json(b'{"\xc3\xa4": [null, true, -0.5]}') == {"ä": [None, True, -0.5]}
    with pytest.raises(ValueError, match="invalid start byte"):
        read_json(b'"\xff"')


def test_numbers_of_numpy_become_those_of_json() -> None:
    sizes, levels = np.array([32, 32]), np.float32([0.5, 0.25, 0.125])
    transform = Preprocess("image", sizes, None, mean=levels, std=levels)
    found = Spec.from_json(spec(preprocess=transform).to_json()).preprocess
    assert (found.size, found.mean, found.std) == ([32, 32], [0.5, 0.25, 0.125], found.mean)


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "axis": ({"score": {"class_axis": 7}}, "class_axis 7 is no axis of 'logits', which has 2"),
    "offset": ({"score": {"class_offset": 2}, "labels": None}, "4 classes behind 2 other entries"),
    "rank": ({"layers": [{"grid": [4]}]}, "'heatmap' has 4 axes, and the metadata need 3"),
    "type": ({"classes": "scores", "scores": "classes"}, r"'scores' is tensor\(float\), and the m"),
    "an input twice": ({"region": "class_index"}, "are not all different"),
    "gradients": ({"layers": [{"gradients": "activations", "activations": "gradients"}]}, "5 axes"),
    "an input's type": (
        {"preprocess": None, "class_index": "image"},
        r"'image' is tensor\(float\), and .* tensor\(int64\)",
    ),
    "channels": ({"preprocess": {"mean": [0], "std": [1]}}, r"\[N, 1, 32, 32\], and 'image' takes"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS)
def test_a_record_of_another_graph_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    text = json.dumps(merged(json.loads(spec().to_json()), change))
    Spec.from_json(text)  # by itself it is right
    path = write_artifact(tmp_path / "m.onnx", extent=4, metadata=text)
    with pytest.raises(SpecError, match=message) as caught:
        Explainer(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def merged(data: Any, change: Any) -> Any:
    """The data with the change's values, inside of objects and lists too."""
    if isinstance(change, dict):
        return {**data, **{key: merged(data.get(key), one) for key, one in change.items()}}
    if isinstance(change, list) and change and isinstance(change[0], dict):
        return [merged(*pair) for pair in zip(data, change, strict=True)]
    return change


@pytest.mark.parametrize("first", [5, 2**31 - 5])
def test_boxes_that_an_output_does_not_have_are_refused(tmp_path: Path, first: int) -> None:
    data = changed(record(detector=True), ("detector", "score_entries", 0, "first"), first)
    path = write_detector(tmp_path / "m.onnx", letterbox(), metadata=json.dumps(data))
    with pytest.raises(SpecError, match="'output0' has 6 entries a box, and the metadata read 2"):
        Explainer(path)


def test_metadata_that_are_not_utf8_are_refused(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(artifact.read_bytes().replace(b'"red"', b'"\xff\xfe\x80"'))
    with pytest.raises(SpecError, match=r"metadata that are not UTF-8 \(invalid start byte\)"):
        Explainer(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"CPU', b'["CPU').replace(b'CPU"', b'CPU"]'),
        lambda text: text.replace(b"true", b"NaN1"),
        lambda text: text.replace(b'"layouts": true', b'"layout2": true'),
        lambda text: text.replace(b"true", b"1   "),
    ],
)
def test_a_damaged_entry_of_an_optimised_file_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    entry = b'{"layouts": true, "machine": "m", "onnxruntime": "1", "provider": "CPU"}'
    path = tmp_path / "m.onnx"
    header = b"\x0a\x0fgraftcam.target\x12" + bytes([len(damage(entry))])
    path.write_bytes(header + damage(entry))
    with pytest.raises(SessionError, match="is damaged at its end; run `graftcam optimize` again"):
        read_target(path)
    path.write_bytes(b"\x0a\x0fgraftcam.target\x12" + bytes([len(entry)]) + entry)
    assert read_target(path) is not None
