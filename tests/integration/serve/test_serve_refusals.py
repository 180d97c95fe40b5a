"""Each wrong request gets the right status and one line, and the service goes on."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime.tools.serve.settings import Limits
from support.artifacts import write_artifact
from support.paths import DATA
from support.served import explain, picture, served
from support.small_detector import export_detector

PNG = {"Content-Type": "image/png"}
ADDRESS = "/api/models/patches/explain"
LIMITS = Limits(bytes=200_000, pixels=40_000, top=3)
PICTURE = picture()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[TestClient]:
    folder = tmp_path_factory.mktemp("models")
    patches = write_artifact(folder / "patches.onnx")
    with served(LIMITS, patches=patches, boxes=export_detector(folder / "boxes.onnx")) as made:
        yield made


def image_of(height: int, width: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width), np.uint8))[1].tobytes()


def array_of(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def huge_array() -> bytes:
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.float32))
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {**header, "shape": (1 << 40,)})
    return stream.getvalue()


QUERIES = {
    "unknown class": ("class=dog", 400, "unknown label 'dog'"),
    "class beyond the last": ("class=99", 400, "class 99 is out of range"),
    "unknown method": ("method=gradcan", 400, "did you mean 'gradcam'"),
    "method that the artifact lacks": ("method=saliency", 400, "input_gradients"),
    "unknown layer": ("layer=features.9", 400, "unknown layer"),
    "unknown output": ("output=other", 400, "unknown output"),
    "unknown option": ("colour=red", 400, "unknown option 'colour'"),
    "option of a method": ("option=samples=3", 400, "takes no option 'samples'"),
    "option without a value": ("option=samples", 400, "NAME=VALUE"),
    "option that takes hours": ("method=rise&option=masks=100000000", 400, "at most 10000"),
    "top beyond the limit": ("top=4", 400, "top=4 is out of range; give 1 to 3"),
    "top of nothing": ("top=0", 400, "top=0 is out of range"),
    "top that is no number": ("top=many", 400, "'many' is not of type integer"),
    "a number of thousands of digits": (f"top={'9' * 5000}", 400, "is not of type integer"),
    "top twice": ("top=1&top=2", 400, "top is given twice"),
    "top and class": ("top=1&class=red", 400, "leave one out"),
    "too many classes": ("class=0&class=1&class=2&class=3", 400, "class is given 4 times"),
    "unknown drawing": ("images=mesh", 400, "unknown drawing 'mesh'"),
    "unknown style": ("style=neon", 400, "unknown style 'neon'"),
    "opacity beyond 1": ("alpha=2", 400, "alpha=2.0 is out of range"),
    "opacity that is no number": ("alpha=nan", 400, "alpha=nan is out of range"),
    "unknown colours": ("images=overlay&colormap=jett", 400, "jet"),
    "drawing of a mile": ("height=1000000", 400, "height=1000000 is out of range"),
    "options of detectors": ("conf=0.5", 400, "no detector"),
    "a near miss without boxes": ("near_miss=true", 400, "no detector"),
    "neither true nor false": ("near_miss=maybe", 400, "'maybe' is not of type boolean"),
    "control characters": ("class=%1b[2J%0a", 400, r"\x1b[2J\n"),
}  # fmt: skip


@pytest.mark.parametrize(("query", "status", "words"), QUERIES.values(), ids=QUERIES)
def test_options(client: TestClient, query: str, status: int, words: str) -> None:
    refused(client.post(f"{ADDRESS}?{query}", content=PICTURE, headers=PNG), status, words)


def refused(answer: Any, status: int, words: str) -> None:
    """Check an answer's status and its line."""
    assert answer.status_code == status, answer.text
    (line,) = answer.json().values()
    assert words in line
    assert line.isprintable()
    assert len(line) <= 4000


BODIES = {
    "no image": (b"", 400, "there is no image"),
    "text": (b"hello", 415, "is no image"),
    "truncated": (PICTURE[: len(PICTURE) // 2], 415, "cut off"),
    "a bomb": ((DATA / "bomb.webp").read_bytes(), 413, "pixels, more than 40,000"),
    "many pixels": (image_of(300, 200), 413, "200 x 300 pixels, more than 40,000"),
    "many bytes": (PICTURE + bytes(200_000), 413, "larger than 200,000 bytes"),
    "an array of another shape": (array_of(np.zeros((3, 9), np.float32)), 415, "float32"),
    "an array of objects": (array_of(np.array([{}])), 400, "no array of numbers"),
    "an array that promises more": (huge_array(), 400, "no array of numbers"),
}


@pytest.mark.parametrize(("body", "status", "words"), BODIES.values(), ids=BODIES)
def test_images(client: TestClient, body: bytes, status: int, words: str) -> None:
    refused(client.post(ADDRESS, content=body, headers=PNG), status, words)
    files = {"image": ("photo.png", body, "image/png")}
    if len(body) > 0:
        refused(client.post(ADDRESS, files=files), status, words)
    assert explain(client).status_code == 200


def test_a_body_in_chunks_is_cut_at_the_limit(client: TestClient) -> None:
    sent: list[int] = []

    def chunks() -> Generator[bytes]:
        for number in range(1000):
            sent.append(number)
            yield bytes(10_000)

    refused(client.post(ADDRESS, content=chunks(), headers=PNG), 413, "larger than 200,000")


FORMS = {
    "no boundary": ("multipart/form-data", b"x", 400, "boundary"),
    "no parts": ("multipart/form-data; boundary=b", b"hello", 400, "form is broken"),
    "an end that is missing": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx', 400,
        "there is no image"),
    "no name": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n', 400, "form is broken"),
    "two images": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n' * 2
        + b"--b--\r\n", 400, "given twice"),
    "another file": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="mask"; filename="a"\r\n\r\nx\r\n--b--\r\n',
        400, "has no input 'mask'"),
    "an image as a field": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--b--\r\n', 400,
        "unknown option 'image'"),
    "json": ("application/json", b"{}", 415, "application/json is not understood"),
    "no type": ("", b"x", 415, "a body of type none"),
    "a form without files": (
        "application/x-www-form-urlencoded", b"class=red&" * 2000, 415, "send multipart/form-data"),
}  # fmt: skip


# The part of a form without an end is an open file in memory.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("kind", "body", "status", "words"), FORMS.values(), ids=FORMS)
def test_forms(client: TestClient, kind: str, body: bytes, status: int, words: str) -> None:
    answer = client.post(ADDRESS, content=body, headers={"Content-Type": kind} if kind else {})
    refused(answer, status, words)


@pytest.mark.parametrize("path", [ADDRESS, "/v2/models/patches/infer"])
def test_a_compressed_body(client: TestClient, path: str) -> None:
    answer = client.post(path, content=PICTURE, headers={**PNG, "Content-Encoding": "gzip"})
    refused(answer, 415, "Content-Encoding: gzip is not understood")


ADDRESSES = {
    "unknown model": ("POST", "/api/models/dogs/explain", 404, "no model 'dogs'"),
    "description of an unknown model": ("GET", "/api/models/dogs", 404, "there is patches"),
    "unknown address": ("GET", "/api/nothing", 404, "Not Found"),
    "a file of the system": ("GET", "/page/../../etc/passwd", 404, "Not Found"),
    "another verb": ("GET", ADDRESS, 405, "Method Not Allowed"),
    "v2 of an unknown model": ("POST", "/v2/models/dogs/infer", 404, "no model 'dogs'"),
}


@pytest.mark.parametrize(("verb", "path", "status", "words"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses(client: TestClient, verb: str, path: str, status: int, words: str) -> None:
    refused(client.request(verb, path), status, words)


BOXES = {
    "box that does not exist": ("box=99", 400, "box 99 is out of range"),
    "top": ("top=2", 400, "takes no top"),
    "reason": ("why=colour", 400, "unknown reason"),
    "threshold": ("conf=2", 400, "conf"),
    "limit": ("limit=4", 400, "limit=4 is out of range; give 0 to 3"),
    "method": ("method=ablationcam", 400, "reruns the head"),
}


@pytest.mark.parametrize(("query", "status", "words"), BOXES.values(), ids=BOXES)
def test_boxes(client: TestClient, query: str, status: int, words: str) -> None:
    address = f"/api/models/boxes/explain?{query}"
    refused(client.post(address, content=picture(np.zeros((64, 64, 3), np.uint8)), headers=PNG),
            status, words)  # fmt: skip


def test_nothing_of_an_upload_is_written(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: Any) -> None:
        raise AssertionError("an upload goes to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    with served(Limits(bytes=4 << 20), patches=Path(client.service.settings.models[0].path)) as big:
        files = {"image": ("x.png", PICTURE + bytes(3 << 20), "image/png")}
        assert big.post(ADDRESS, files=files).status_code == 200


def test_a_fault_of_ours_is_one_line_without_a_trace(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("graftcam.runtime.tools.serve.model.explain_each", fail)
    refused(explain(client), 500, "the service failed; its log says why")
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert explain(client).status_code == 200
