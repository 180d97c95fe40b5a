"""Signed artifacts: what a signature covers, and who may have made it."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("model_signing")

import model_signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from graftcam.runtime.custody.digests import record_heads, write_digests
from graftcam.runtime.custody.entries import read_entry, write_entries
from graftcam.runtime.spec import METADATA_KEY
from support.cli import fail, refuse, succeed
from support.paths import DATA
from support.tamper import flip, flip_weight

NAME = "spec1-classifier.onnx"
HEADS = ["spec1-classifier.head.r.onnx", "spec1-classifier.head.r2.onnx"]
FILES = ", ".join([NAME, *HEADS])


def write_key(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Path:
    path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys, ``key.pem`` and ``other.pem``, and the public ones."""
    folder = tmp_path_factory.mktemp("keys")
    write_key(folder / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    write_key(folder / "other.pem", ec.generate_private_key(ec.SECP384R1()))
    return folder


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """An artifact with two heads and digests, beside a file that is not its own."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name in (NAME, *HEADS):
        shutil.copy(DATA / "spec1" / name, folder / name)
        write_digests(folder / name)
    record_heads(folder / NAME, [folder / name for name in HEADS])
    (folder / "notes.txt").write_text("not signed")
    return folder / NAME


@pytest.fixture
def signed(artifact: Path, keys: Path) -> Path:
    said = succeed("sign", artifact, "--key", keys / "key.pem").stdout
    assert said == f"{artifact}.sig: signature of {FILES}\n"
    return artifact


def check(artifact: Path, keys: Path, key: str = "key.pub") -> list[object]:
    signature = f"{artifact}.sig"
    return ["verify", artifact, "--signature", signature, "--public-key", keys / key]


def test_a_signed_artifact_passes_with_other_files_beside_it(signed: Path, keys: Path) -> None:
    (signed.parent / "later.txt").write_text("more")
    lines = succeed(*check(signed, keys)).stdout.splitlines()
    assert lines[0] == f"pass  signature    {FILES}"
    assert [line.split()[:3] for line in lines[1:5]] == [
        ["pass", "digests", name] for name in ("graph", "weights", *HEADS)
    ]
    assert lines[5].startswith(f"{NAME} is as it was signed; the verdict of its export: pass (")


def change_verdict(artifact: Path) -> None:
    text = read_entry(artifact, METADATA_KEY)
    assert text is not None
    write_entries(artifact, {METADATA_KEY: text.replace('"verdict":"pass"', '"verdict":"fail"')})


def change_with_digests(artifact: Path) -> None:
    flip_weight(artifact)
    write_digests(artifact)
    record_heads(artifact, [artifact.with_name(name) for name in HEADS])


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a weight, with new digests": (change_with_digests, NAME),
    "the verdict": (change_verdict, NAME),
    "a head": (lambda path: flip_weight(path.with_name(HEADS[1])), HEADS[1]),
    "the signature": (
        lambda path: flip(path.with_name(f"{NAME}.sig"), 400), "signed: InvalidSignature"),
    "a missing head": (lambda path: path.with_name(HEADS[0]).unlink(), HEADS[0]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "named"), TAMPERED.values(), ids=TAMPERED)
def test_a_changed_file_fails(
    signed: Path, keys: Path, change: Callable[[Path], object], named: str
) -> None:
    change(signed)
    said = refuse(*check(signed, keys))
    assert named in said.replace(str(signed), "")
    assert "Digest(" not in said


def test_the_signature_of_another_key_fails(signed: Path, keys: Path) -> None:
    assert "does not prove that" in refuse(*check(signed, keys, "other.pub"))


def test_a_signature_that_ignores_a_file_does_not_cover_it(artifact: Path, keys: Path) -> None:
    artifact.with_name("notes.txt").unlink()
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=[artifact])
    config = model_signing.signing.Config().use_elliptic_key_signer(private_key=keys / "key.pem")
    config.set_hashing_config(hashing).sign(artifact.parent, Path(f"{artifact}.sig"))
    assert NAME in refuse(*check(artifact, keys))


def test_links_are_signed_by_what_they_lead_to(signed: Path, keys: Path, tmp_path: Path) -> None:
    for name in (NAME, *HEADS):
        signed.with_name(name).rename(tmp_path / name)
        signed.with_name(name).symlink_to(tmp_path / name)
    succeed(*check(signed, keys))
    succeed("sign", signed, "--key", keys / "key.pem")
    succeed(*check(signed, keys))


def test_other_tools_read_the_signature(signed: Path, keys: Path) -> None:
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=keys / "key.pub")
    config.set_ignore_unsigned_files(True).verify(signed.parent, Path(f"{signed}.sig"))


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=name == issuer,
        crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(usage, True)
    constraints = x509.BasicConstraints(ca=name == issuer, path_length=None)
    return builder.add_extension(constraints, True).sign(by, hashes.SHA256())


def test_a_certificate_is_trusted_by_its_root(artifact: Path, keys: Path) -> None:
    key = serialization.load_pem_private_key((keys / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for root in ("ours", "theirs"):
        made = ec.generate_private_key(ec.SECP256R1())
        for file, found in (
            (f"{root}-root.pem", certificate(root, made, root, made)),
            (f"{root}.pem", certificate("release", key, root, made)),
        ):
            (keys / file).write_bytes(found.public_bytes(serialization.Encoding.PEM))
    succeed("sign", artifact, "--key", keys / "key.pem", "--certificate", keys / "ours.pem")
    verify = ["verify", artifact, "--signature", f"{artifact}.sig", "--certificate-chain"]
    assert "is as it was signed" in succeed(*verify, keys / "ours-root.pem").stdout
    assert "does not prove that" in refuse(*verify, keys / "theirs-root.pem")
    flip_weight(artifact)
    assert NAME in refuse(*verify, keys / "ours-root.pem")


def test_what_changed_after_the_export_is_not_signed(artifact: Path, keys: Path) -> None:
    flip_weight(artifact)
    said = refuse("sign", artifact, "--key", keys / "key.pem", "-o", artifact.with_name("a.sig"))
    assert "the weights changed after the export" in said
    assert not artifact.with_name("a.sig").exists()


def test_an_old_artifact_is_signed_as_it_is(artifact: Path, keys: Path) -> None:
    for name in (NAME, *HEADS):
        shutil.copy(DATA / "spec1" / name, artifact.with_name(name))
    succeed("sign", artifact, "--key", keys / "key.pem")
    assert "skip  digests: no digests: exported" in succeed(*check(artifact, keys)).stdout


@pytest.mark.parametrize("key", ["ed25519.pem", "no.pem", "key.pub"])
def test_keys_that_cannot_sign_are_refused_and_nothing_is_written(
    artifact: Path, keys: Path, key: str
) -> None:
    if key == "ed25519.pem":
        write_key(keys / key, ed25519.Ed25519PrivateKey.generate())
    said = f"{keys / key}: "
    assert said in refuse("sign", artifact, "--key", keys / key)
    assert said in refuse(
        "verify", artifact, "--attest", artifact.with_name("a.json"), "--key", keys / key
    )
    assert sorted(one.name for one in artifact.parent.iterdir()) == sorted(
        [NAME, *HEADS, "notes.txt"]
    )


def test_the_signature_does_not_replace_what_it_signs(artifact: Path, keys: Path) -> None:
    before = artifact.read_bytes()
    said = refuse("sign", artifact, "--key", keys / "key.pem", "-o", artifact)
    assert "it is the input" in said or "it is an input" in said
    assert artifact.read_bytes() == before


WRONG = {
    "no signature": ["--public-key", "key.pub"],
    "no key": ["--signature", "a.sig"],
    "key and certificate": ["--signature", "a", "--public-key", "b", "--certificate-chain", "c"],
    "a key for nothing": ["--key", "key.pem"],
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_options_that_lack_another_are_wrong_usage(artifact: Path, options: list[str]) -> None:
    assert "--" in fail("verify", artifact, *options, code=2)
    assert "--certificate" in fail("sign", artifact, "--key", "k", "--chain", "c", code=2)


def test_the_signature_is_a_sigstore_bundle_of_the_files_digests(signed: Path) -> None:
    bundle = json.loads(Path(f"{signed}.sig").read_text())
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert bundle["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
