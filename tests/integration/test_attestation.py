"""A verdict as an in-toto attestation, and an artifact as a CycloneDX bill of materials."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from graftcam.runtime.custody.attestation import statement
from graftcam.runtime.custody.digests import read_digests
from support.cli import call, refuse, succeed
from support.exports import exported_digits
from support.paths import DATA
from support.tamper import flip_weight


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's artifact in a folder of its own, so that a test may change it."""
    return Path(shutil.copy(exported_digits(), tmp_path_factory.mktemp("artifact") / "digits.onnx"))


def test_the_attestation_of_a_failure_is_written_and_names_the_check(
    artifact: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(artifact, tmp_path / "m.onnx"))
    flip_weight(path)
    result = call("verify", path, "--attest", tmp_path / "verdict.json")
    assert result.exit_code == 1
    made = json.loads((tmp_path / "verdict.json").read_text())
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert made["subject"] == [{"name": "m.onnx", "digest": {"sha256": sha256(path)}}]
    predicate = made["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", ["digests"])
    assert predicate["passedTests"] == []
    (tool,) = predicate["configuration"]
    assert tool["uri"].startswith("pkg:generic/graftcam@0")
    assert tool["annotations"]["against"] is None


def test_the_worst_finding_of_a_check_counts(artifact: Path) -> None:
    found = [("gradients", "pass"), ("gradients", "unproven"), ("outputs", "pass"),
             ("labels", "skipped"), ("classes", "skipped"), ("classes", "pass")]  # fmt: skip
    report: dict[str, Any] = {
        "verdict": "unproven", "against": "x", "reference": "none", "inputs": {}, "versions": {},
        "checks": [{"check": check, "status": status} for check, status in found],
    }  # fmt: skip
    predicate = statement([artifact], report)["predicate"]
    assert predicate["result"] == "WARNED"
    assert predicate["passedTests"] == ["outputs"]
    assert predicate["warnedTests"] == ["gradients"]
    assert predicate["failedTests"] == []


def test_a_signed_attestation_is_a_dsse_envelope(artifact: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    path = Path(shutil.copy(artifact, tmp_path / "m.onnx"))
    flip_weight(path)
    call("verify", path, "--attest", tmp_path / "v.json", "--key", tmp_path / "key.pem")
    made = json.loads((tmp_path / "v.json").read_text())
    payload = base64.b64decode(made["payload"])
    (entry,) = made["signatures"]
    kind = made["payloadType"].encode()
    assert kind == b"application/vnd.in-toto+json"
    signature, public = base64.b64decode(entry["sig"]), key.public_key()
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload)
    public.verify(signature, pae + payload, ec.ECDSA(hashes.SHA384()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, pae + payload + b" ", ec.ECDSA(hashes.SHA384()))
    assert json.loads(payload)["predicate"]["result"] == "FAILED"


def test_the_attestation_does_not_replace_the_artifact(artifact: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(artifact, tmp_path / "m.onnx"))
    flip_weight(path)
    before = path.read_bytes()
    assert "m.onnx: it is an input" in call("verify", path, "--attest", path).output
    assert "it is an input" in refuse("inspect", artifact, "--bom", artifact)
    assert path.read_bytes() == before


def bom(path: Path) -> dict[str, Any]:
    """The bill of materials, as the command prints it; it must follow CycloneDX's schema."""
    text = succeed("inspect", path, "--bom", "-").stdout
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_the_bill_of_materials_follows_the_schema(artifact: Path, tmp_path: Path) -> None:
    made = bom(artifact)
    component = made["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    assert component["hashes"] == [{"alg": "SHA-256", "content": sha256(artifact)}]
    assert component["licenses"] == [{"license": {"name": "unknown"}}]
    card = component["modelCard"]
    assert card["modelParameters"]["task"] == "classification"
    found = {one["name"]: one["value"] for one in card["properties"]}
    digests = read_digests(artifact)
    assert digests is not None
    assert found["graftcam:digest:weights_sha256"] == digests.weights
    assert "graftcam:tool:torch" in found
    (source,) = component["pedigree"]["ancestors"]
    names = {one["name"] for one in source["properties"]}
    assert names == {"graftcam:source:graph_sha256", "graftcam:source:weights_sha256"}
    succeed("inspect", artifact, "--bom", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == made


def test_heads_are_components_and_errors_are_metrics(tmp_path: Path) -> None:
    for path in (DATA / "spec1").glob("spec1-classifier*"):
        shutil.copy(path, tmp_path / path.name)
    component = bom(tmp_path / "spec1-classifier.onnx")["metadata"]["component"]
    names = ["spec1-classifier.head.r.onnx", "spec1-classifier.head.r2.onnx"]
    assert [one["name"] for one in component["components"]] == names
    metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert all(one["type"].startswith("relative error of ") for one in metrics)
    found = {one["name"]: one["value"] for one in component["modelCard"]["properties"]}
    assert found["graftcam:verification:verdict"] == "pass"
    assert not any(name.startswith("graftcam:digest:") for name in found)
