"""Signatures of model versions in the format of OpenSSF Model Signing 1.0 (an in-toto statement in a DSSE envelope).

Written and read here, with ECDSA over P-256, because the reference package takes one and a half seconds to import
and brings a certificate infrastructure that keys do not need; a test holds the two together.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.weights import CARD, CONFIG, WEIGHTS, CorruptModelError, ModelVersion, digest_from

SIGNATURE: Final = "model.sig"
_BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_BUNDLE: Final = {"mediaType", "verificationMaterial", "dsseEnvelope"}
_MATERIAL: Final = {"publicKey", "tlogEntries"}
_ENVELOPE: Final = {"payload", "payloadType", "signatures"}
_SIGNED: Final = {"sig", "keyid"}
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """What is known of a version's signature. The card may be mended after signing; weights may not."""

    signed: bool
    signer: str | None  # the hint of the key: SHA-256 of its PEM
    card_is_as_signed: bool


def load_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key.

    Raises:
        ValueError: it is not a P-256 key in PEM without a password.
    """
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 private key")  # noqa: TRY004
    return key


def load_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key.

    Raises:
        ValueError: it is not a P-256 key in PEM.
    """
    key = serialization.load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 public key")  # noqa: TRY004
    return key


def key_hint(key: ec.EllipticCurvePublicKey) -> str:
    """Return by what a signature names its key."""
    return hashlib.sha256(_pem(key)).hexdigest()


def sign_version(version: ModelVersion, key: ec.EllipticCurvePrivateKey) -> Path:
    """Write the signature of a version's files beside them; return its path."""
    digests = {name: _sha256(version.path / name) for name in sorted((CARD, CONFIG, WEIGHTS))}
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests.values())).hexdigest()
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": version.path.name, "digest": {"sha256": whole}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "resources": [
                {"algorithm": "sha256", "digest": digest, "name": name} for name, digest in digests.items()
            ],
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE],
            },
        },
    }
    payload = json.dumps(statement).encode()
    bundle = {
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key_hint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [
                {"sig": base64.b64encode(key.sign(_signed_bytes(payload), ec.ECDSA(hashes.SHA256()))).decode()}
            ],
        },
    }
    path = version.path / SIGNATURE
    path.write_text(json.dumps(bundle, indent=1) + "\n", encoding="utf-8")
    return path


def check_signature(version: ModelVersion, trusted: Iterable[ec.EllipticCurvePublicKey]) -> SignatureReport:
    """Check the signature that lies with a version; one without is reported as not signed.

    Raises:
        CorruptModelError: there is a signature, and it is damaged, by an untrusted key, or of other files.
    """
    path = version.path / SIGNATURE
    if not path.exists():
        return SignatureReport(signed=False, signer=None, card_is_as_signed=False)
    try:
        bundle = json.loads(path.read_text(encoding="utf-8"))
        _check_form(bundle)
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        envelope = bundle["dsseEnvelope"]
        payload = _decoded(envelope["payload"])
        signature = _decoded(envelope["signatures"][0]["sig"])
        kind = envelope["payloadType"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CorruptModelError(f"{path} is no model signature: {type(error).__name__}: {error}") from error
    key = next((each for each in trusted if key_hint(each) == hint), None)
    if key is None:
        named = str(hint)[:16]
        raise CorruptModelError(
            f"{path} is by a key that is not trusted here ({named}…); `tutti keys` says where its public key goes"
        )
    if kind != _PAYLOAD_TYPE:
        raise CorruptModelError(f"{path} signs {kind!r}, not an in-toto statement")
    try:
        key.verify(signature, _signed_bytes(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise CorruptModelError(f"{path} does not fit its key: the signature was changed") from None
    signed = _resources(path, json.loads(payload))
    for name in (CONFIG, WEIGHTS):
        if signed.get(name) != _sha256(version.path / name):
            raise CorruptModelError(f"{version.path / name} is not the file that was signed")
    card = version.path / CARD
    return SignatureReport(True, hint, card.is_file() and signed.get(CARD) == _sha256(card))


def signed_digest(version: ModelVersion) -> str | None:
    """Return the digest of the version that the signature beside it is of; None if there is none that tells."""
    try:
        bundle = json.loads((version.path / SIGNATURE).read_text(encoding="utf-8"))
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        return digest_from(_resources(version.path, statement))
    except (OSError, ValueError, KeyError, TypeError, CorruptModelError):
        return None


def _check_form(bundle: Mapping[str, Any]) -> None:
    """See that a bundle has nothing in it but what is known, as not all of it is signed."""
    if bundle["mediaType"] != _BUNDLE_TYPE:
        raise ValueError(f"a bundle of type {bundle['mediaType']!r}")
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    parts = [(bundle, _BUNDLE), (material, _MATERIAL), (material["publicKey"], {"hint"}), (envelope, _ENVELOPE)]
    parts += [(each, _SIGNED) for each in envelope["signatures"]]
    if unknown := sorted({name for part, known in parts for name in set(part) - known}):
        raise ValueError(f"unknown member {unknown[0]!r}")
    if len(envelope["signatures"]) != 1:
        raise ValueError(f"{len(envelope['signatures'])} signatures, one is wanted")


def _decoded(text: str) -> bytes:
    """Decode base64, and see that no other text would have given the same bytes."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 with bits left over")
    return data


def _resources(path: Path, statement: Mapping[str, Any]) -> dict[str, str]:
    try:
        if statement["predicateType"] != _PREDICATE_TYPE:
            raise CorruptModelError(f"{path} signs something else than a model: {statement['predicateType']}")
        return {
            str(each["name"]): str(each["digest"])
            for each in statement["predicate"]["resources"]
            if each["algorithm"] == "sha256"
        }
    except (KeyError, TypeError) as error:
        raise CorruptModelError(f"{path} lists no files: {error}") from error


def _signed_bytes(payload: bytes) -> bytes:
    """Return what an envelope's signature is over: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
