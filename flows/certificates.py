"""A certificate chain for development: root, issuer and the leaf that signs manifests, as C2PA asks of them.

The private keys of root and issuer are thrown away: nothing else can be signed in their name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_CLAIM_SIGNING: Final = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
_VALID: Final = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Chain:
    """PEM: the leaf's private key, leaf and issuer, and the root."""

    key: bytes
    chain: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class _Party:
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate | None = None


def development_chain(valid: timedelta = _VALID) -> Chain:
    """Make a chain whose names say that it is for development."""
    span = (datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + valid)
    root = _issue("Tutti development root", None, span, authority=1)
    issuer = _issue("Tutti development issuer", root, span, authority=0)
    leaf = _issue("Tutti development generator", issuer, span, authority=None)
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Chain(key, _pem(leaf) + _pem(issuer), _pem(root))


def _issue(name: str, by: _Party | None, span: tuple[datetime, datetime], authority: int | None) -> _Party:
    """Make a certificate; `authority` is how many authorities may stand below it, None for a leaf."""
    key = ec.generate_private_key(ec.SECP256R1())
    signing = by or _Party(name, key)
    is_authority = authority is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(signing.name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.key.public_key()), critical=False)
        .add_extension(_usage(authority=is_authority), critical=True)
    )
    if not is_authority:
        # Readers that know no claim signing want the usage for mail as well.
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, _CLAIM_SIGNING])
        builder = builder.add_extension(uses, critical=False)
    return _Party(name, key, builder.sign(signing.key, hashes.SHA256()))


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tutti development"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _pem(party: _Party) -> bytes:
    assert party.certificate is not None
    return party.certificate.public_bytes(serialization.Encoding.PEM)
