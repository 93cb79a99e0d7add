"""Signatures of model versions hold, agree with the reference implementation, and are broken by every change."""

import json

import model_signing
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from models.bom import bill_of_materials
from models.registry import SHIPPED, list_versions
from models.signing import check_signature, load_public_key, sign_version
from models.weights import CorruptModelError, write_version

KEY = ec.generate_private_key(ec.SECP256R1())
TRUSTED = [KEY.public_key()]


@pytest.fixture
def version(tmp_path):
    config = {"name": "tiny", "kind": "score", "architecture": "none"}
    return write_version(tmp_path / "tiny", {"w": torch.ones(40)}, config, "---\nname: tiny\n---\nwords\n")


def test_a_signed_version_is_known_by_its_key(version):
    assert not check_signature(version, TRUSTED).signed
    sign_version(version, KEY)
    report = check_signature(version, TRUSTED)
    assert report.signed and report.card_is_as_signed and len(report.signer) == 64


def test_the_reference_implementation_accepts_the_signature_and_refuses_other_weights(version, tmp_path):
    sign_version(version, KEY)
    (tmp_path / "key.pub").write_bytes(
        KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def verify():
        verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
        verifier.set_ignore_unsigned_files(True).verify(version.path, version.path / "model.sig")

    verify()
    flip(version.path / "model.safetensors", -1)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        verify()


def test_the_signature_of_the_reference_implementation_is_accepted(version, tmp_path):
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    signer.sign(version.path, version.path / "model.sig")
    assert check_signature(version, TRUSTED).signed


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_version_whose_files_were_changed_is_refused(version, name):
    sign_version(version, KEY)
    flip(version.path / name, -2)
    with pytest.raises(CorruptModelError, match=f"{name} is not the file that was signed"):
        check_signature(version, TRUSTED)


def test_a_mended_card_is_told_and_not_refused(version):
    sign_version(version, KEY)
    flip(version.path / "card.md", -2)
    assert not check_signature(version, TRUSTED).card_is_as_signed


def test_a_signature_by_an_unknown_key_is_refused(version):
    sign_version(version, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(CorruptModelError, match="not trusted"):
        check_signature(version, TRUSTED)


def test_a_changed_signature_is_refused(version):
    path = sign_version(version, KEY)
    bundle = json.loads(path.read_text())
    envelope = bundle["dsseEnvelope"]
    for field in ("payload", "payloadType"):
        changed = json.loads(json.dumps(bundle))
        value = envelope[field]
        changed["dsseEnvelope"][field] = value[:9] + ("A" if value[9] != "A" else "B") + value[10:]
        path.write_text(json.dumps(changed))
        with pytest.raises(CorruptModelError):
            check_signature(version, TRUSTED)
    whole = json.dumps(bundle).encode()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(CorruptModelError):
            check_signature(version, TRUSTED)
    path.write_text("no signature")
    with pytest.raises(CorruptModelError, match="no model signature"):
        check_signature(version, TRUSTED)


def test_every_shipped_version_is_signed_by_a_release_key_card_and_all():
    keys = [load_public_key(path.read_bytes()) for path in SHIPPED.glob("*.pub")]
    reports = {version.reference: check_signature(version, keys) for version in list_versions([])}
    assert len(reports) >= 4
    assert {name for name, report in reports.items() if not (report.signed and report.card_is_as_signed)} == set()


def test_the_bill_of_materials_is_valid_cyclonedx(version):
    for each in (version, *list_versions([])):
        bill = bill_of_materials(each)
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
        assert problem is None, problem
    score = next(each for each in list_versions([]) if each.name == "score-small")
    data = [each for each in bill_of_materials(score)["components"] if each["type"] == "data"]
    assert {"openscore-lieder", "openscore-quartets", "music21"} == {each["name"] for each in data}


def test_the_bill_names_the_version_that_training_began_at():
    sung = next(each for each in list_versions([]) if each.name == "singsong-small")
    ancestors = bill_of_materials(sung)["metadata"]["component"]["pedigree"]["ancestors"]
    assert [f"{each['name']}@{each['version']}" for each in ancestors] == [sung.card["base"]["model"]]


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))
