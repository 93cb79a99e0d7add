"""Signed notes (C2SP signed-note) and the checkpoints of a log in them (C2SP tlog-checkpoint), with Ed25519.

A checkpoint says: the log of this name has this many entries and this root. Whoever keeps one can tell later
whether the log still begins so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from db.errors import CheckpointError
from db.ledger import TreeHead

_ED25519: Final = b"\x01"
_NAME: Final = re.compile(r"[^\s+]+")
_DASH: Final = "\u2014"


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A named public key; its text form is "name+hash+key"."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> NoteVerifier:
        """Read the text form.

        Raises:
            CheckpointError: it is none, or its hash is not the key's.
        """
        name, _, rest = text.strip().partition("+")
        hashed, _, encoded = rest.partition("+")
        try:
            kind_and_key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            kind_and_key = b""
        if not _NAME.fullmatch(name) or kind_and_key[:1] != _ED25519 or len(kind_and_key) != 33:
            raise CheckpointError(f"{text.strip()[:80]!r} is no verifier key: write name+hash+key, as in log.pub")
        verifier = cls(name, kind_and_key[1:])
        if hashed != verifier.key_hash.hex():
            raise CheckpointError(f"the verifier key of {name} is damaged: its hash is not {hashed}")
        return verifier

    @property
    def key_hash(self) -> bytes:
        """The four bytes that begin each of its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    def check(self, note: str) -> str:
        """Return the text of a note that this key has signed, with its last newline.

        Raises:
            CheckpointError: the note is none, or this key has not signed it.
        """
        text, blank, signatures = note.rpartition("\n\n")
        if not blank or not signatures.endswith("\n"):
            raise CheckpointError("this is no signed note: it ends with no line of a signature")
        for line in signatures.removesuffix("\n").split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            if dash != _DASH or name != self.name:
                continue
            try:
                signed = base64.b64decode(encoded, validate=True)
            except ValueError:
                continue
            if signed[:4] == self.key_hash and base64.b64encode(signed).decode() == encoded:
                try:
                    Ed25519PublicKey.from_public_bytes(self.key).verify(signed[4:], (text + "\n").encode())
                except InvalidSignature:
                    raise CheckpointError(f"the signature of {self.name} does not fit the note") from None
                return text + "\n"
        raise CheckpointError(f"the note is not signed by {self.name}")


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A named private key."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> NoteVerifier:
        """Its public half."""
        return NoteVerifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the note over a text that ends with a newline."""
        if not text.endswith("\n"):
            raise ValueError("the text of a note ends with a newline")
        signed = self.verifier.key_hash + self.key.sign(text.encode())
        return f"{text}\n{_DASH} {self.name} {base64.b64encode(signed).decode()}\n"


def write_checkpoint(head: TreeHead, signer: NoteSigner) -> str:
    """Return the signed checkpoint of a log."""
    return signer.sign(f"{head.origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n")


def read_checkpoint(note: str, verifier: NoteVerifier) -> TreeHead:
    """Return what a checkpoint says.

    Raises:
        CheckpointError: the key has not signed it, or it is no checkpoint.
    """
    lines = verifier.check(note).split("\n")
    try:
        name, size, root = lines[:3]
        head = TreeHead(name, int(size), base64.b64decode(root, validate=True))
    except ValueError:
        raise CheckpointError("the note is signed, and is no checkpoint: origin, size and root are wanted") from None
    if len(head.root) != 32 or head.size < 0 or str(head.size) != size:
        raise CheckpointError(
            f"the checkpoint of {name} is malformed: size {size!r}, a root of {len(head.root)} bytes"
        )
    return head
