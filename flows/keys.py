"""The keys of an installation: one folder, made for development at first use, or brought by its path.

    log.key, log.pub           Ed25519: signs checkpoints of the ledger; log.pub is what a verifier needs
    models.key, models.pub     P-256: signs model versions
    trusted-models/*.pub       whose signed models are used besides our own
    manifest.key, manifest.pem, root.pem   P-256 and its certificates: sign the manifests of files
    manifest.command           instead of manifest.key: what signs in its place, so that the key can stay in a token
    revoked.txt                serial numbers of certificates that are no longer trusted, one a line
    watermark.key              32 bytes in hex: where in a sound the mark is

The development watermark key is the same everywhere, so that equal recipes give equal sounds in every home; whoever
wants a mark that nobody else can set makes keys of their own.
"""

from __future__ import annotations

import hashlib
import secrets
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors.marking.manifests import SigningIdentity
from actors.marking.marker import MarkingSpec
from db.errors import CheckpointError
from db.signed_notes import NoteSigner, NoteVerifier
from flows.certificates import development_chain
from flows.errors import KeysError
from flows.settings import Settings
from models.registry import SHIPPED
from models.signing import load_private_key, load_public_key
from models.whole_files import whole_folder

T = TypeVar("T")
DEVELOPMENT_WATERMARK_KEY: Final = hashlib.sha256(
    b"tutti: the development watermark key, known to everybody"
).digest()
_COMMAND: Final = "manifest.command"
_PRIVATE: Final = ("log.key", "models.key", "manifest.key", "watermark.key")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an installation, read."""

    folder: Path
    log: NoteSigner
    models: ec.EllipticCurvePrivateKey
    trusted_models: tuple[ec.EllipticCurvePublicKey, ...]
    manifests: SigningIdentity
    revoked: frozenset[int]
    watermark: bytes = field(repr=False)

    @property
    def watermark_is_everybodys(self) -> bool:
        """Say whether the mark is set with the development key."""
        return self.watermark == DEVELOPMENT_WATERMARK_KEY

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that manifests are signed with."""
        return x509.load_pem_x509_certificate(self.manifests.chain)


def load_keys(settings: Settings) -> Keys:
    """Read the keys; those of a home are made for development when they are first wanted.

    Raises:
        KeysError: the folder that TUTTI_KEYS names is not there, or a key cannot be used.
    """
    folder = settings.key_folder
    if not folder.exists():
        if settings.keys is not None:
            raise KeysError(f"TUTTI_KEYS {folder}: no such folder; make one with: tutti keys --make {folder}")
        make_keys(folder, development=True)
    return read_keys(folder)


def marking_spec(settings: Settings) -> MarkingSpec:
    """Return how workers mark and sign what they make.

    Raises:
        KeysError: the keys cannot be used, or the certificate has expired.
    """
    keys = load_keys(settings)
    until = keys.certificate.not_valid_after_utc
    if settings.manifests != "off" and until < datetime.now(UTC):
        raise KeysError(
            f"{keys.folder / 'manifest.pem'} expired on {until:%Y-%m-%d}: nothing can be signed with it any more; "
            "put another certificate there, or set TUTTI_MANIFESTS=off"
        )
    return MarkingSpec(
        watermark_key=keys.watermark if settings.watermark == "on" else None,
        identity=keys.manifests if settings.manifests != "off" else None,
        embedded=settings.manifests == "embedded",
    )


def make_keys(folder: Path, *, development: bool) -> None:
    """Make a folder of new keys; it appears whole.

    Raises:
        KeysError: the folder is there already, or cannot be written.
    """
    if folder.exists():
        raise KeysError(f"{folder} is there already; keys are never written over")
    log = Ed25519PrivateKey.generate()
    name = f"tutti-{hashlib.sha256(log.public_key().public_bytes_raw()).hexdigest()[:12]}"
    models, chain = ec.generate_private_key(ec.SECP256R1()), development_chain()
    watermark = DEVELOPMENT_WATERMARK_KEY if development else secrets.token_bytes(32)
    files = {
        "log.key": _private_pem(log),
        "log.pub": f"{NoteSigner(name, log).verifier}\n".encode(),
        "models.key": _private_pem(models),
        "models.pub": models.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "manifest.key": chain.key,
        "manifest.pem": chain.chain,
        "root.pem": chain.root,
        "watermark.key": watermark.hex().encode() + b"\n",
    }
    try:
        with whole_folder(folder, mode=0o700) as partial:
            (partial / "trusted-models").mkdir()
            for file, data in files.items():
                path = partial / file
                path.touch(0o600 if file in _PRIVATE else 0o644)
                path.write_bytes(data)
    except OSError as error:
        raise KeysError(f"{folder} cannot be written: {error}") from error


def read_keys(folder: Path) -> Keys:
    """Read a folder of keys.

    Raises:
        KeysError: a key is missing, unreadable or of another kind, or others could read a private one.
    """
    for name in _PRIVATE:
        if name != "manifest.key" or not (folder / _COMMAND).exists():
            _check_private(folder / name)
    return Keys(
        folder=folder,
        log=_log(folder),
        models=_usable(folder / "models.key", load_private_key),
        trusted_models=tuple(_trusted(folder)),
        manifests=_manifests(folder),
        revoked=_revoked(folder / "revoked.txt"),
        watermark=_watermark(folder / "watermark.key"),
    )


def read_verifier(path: Path) -> NoteVerifier:
    """Read the public key of a log.

    Raises:
        KeysError: the file cannot be read, or holds no verifier key.
    """
    try:
        return NoteVerifier.parse(_read(path).decode("utf-8", "replace"))
    except CheckpointError as error:
        raise KeysError(f"{path}: {error}") from error


def _manifests(folder: Path) -> SigningIdentity:
    chain, root = _read(folder / "manifest.pem"), _read(folder / "root.pem")
    if not (path := folder / _COMMAND).exists():
        return SigningIdentity(chain=chain, key=_read(folder / "manifest.key"), root=root)
    try:
        command = tuple(shlex.split(_read(path).decode("utf-8", "replace"), comments=True))
    except ValueError as error:
        raise KeysError(f"{path}: {error}") from error
    if not command or shutil.which(command[0]) is None:
        raise KeysError(f"{path}: a command that is here is wanted, not {' '.join(command) or 'nothing'!r}")
    return SigningIdentity(chain=chain, key=None, root=root, command=command)


def _log(folder: Path) -> NoteSigner:
    verifier = read_verifier(folder / "log.pub")

    def load(pem: bytes) -> Ed25519PrivateKey:
        key = serialization.load_pem_private_key(pem, None)
        if not isinstance(key, Ed25519PrivateKey) or key.public_key().public_bytes_raw() != verifier.key:
            raise ValueError("not the Ed25519 private key of log.pub")
        return key

    return NoteSigner(verifier.name, _usable(folder / "log.key", load))


def _trusted(folder: Path) -> Iterator[ec.EllipticCurvePublicKey]:
    files = [
        folder / "models.pub",
        *sorted((folder / "trusted-models").glob("*.pub")),
        *sorted(SHIPPED.glob("*.pub")),
    ]
    for path in files:
        yield _usable(path, load_public_key)


def _revoked(path: Path) -> frozenset[int]:
    if not path.exists():
        return frozenset()
    lines = [line.partition("#")[0].strip() for line in _read(path).decode("utf-8", "replace").splitlines()]
    try:
        return frozenset(int(line, 0) for line in lines if line)
    except ValueError as error:
        raise KeysError(f"{path}: serial numbers are wanted, one a line, decimal or 0x…: {error}") from None


def _watermark(path: Path) -> bytes:
    try:
        key = bytes.fromhex(_read(path).decode().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise KeysError(f"{path}: 32 bytes in hex are wanted")
    return key


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}; `tutti keys` says what belongs there") from None
    if mode & stat.S_IRWXO:
        raise KeysError(f"{path} can be read by others: chmod 600 {path}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}") from None


def _usable(path: Path, load: Callable[[bytes], T]) -> T:
    try:
        return load(_read(path))
    except (ValueError, TypeError) as error:
        raise KeysError(f"{path} cannot be used: {error}") from error


def _private_pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
