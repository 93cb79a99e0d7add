"""Ogg streams (RFC 3533) with a serial number that is made of their content.

Encoders draw it at random, so that the same sound would be another file each time.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

_SERIAL: Final = slice(14, 18)
_CHECKSUM: Final = slice(22, 26)
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def with_settled_serial(data: bytes) -> bytes:
    """Return a file of one stream with its serial number and the checksums of its pages set anew.

    Raises:
        ValueError: the data is no Ogg file.
    """
    pages = list(_pages(data))
    bare = b"".join(page[:14] + bytes(4) + page[18:22] + bytes(4) + page[26:] for page in pages)
    serial = hashlib.sha256(bare).digest()[:4]
    return b"".join(_settled(page, serial) for page in pages)


def _pages(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        segments = data[start + 27 : start + 27 + data[start + 26]] if len(data) > start + 26 else b""
        end = start + 27 + len(segments) + sum(segments)
        if data[start : start + 4] != b"OggS" or end > len(data):
            raise ValueError(f"not an Ogg page at byte {start}")
        yield data[start:end]
        start = end


def _settled(page: bytes, serial: bytes) -> bytes:
    made = bytearray(page)
    made[_SERIAL], made[_CHECKSUM] = serial, bytes(4)
    made[_CHECKSUM] = _checksum(bytes(made))
    return bytes(made)


def _checksum(page: bytes) -> bytes:
    """Return the CRC-32 of a page: zlib's, for bits in the other order and without its inversions."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2).to_bytes(4, "little")
