"""The Merkle tree of a log: Certificate Transparency, RFC 9162, section 2.1, with SHA-256.

Pure arithmetic over hashes of 32 bytes. A subtree is named by its leaves [first, end). Which subtrees a proof
needs is worked out first (`inclusion_path`, `consistency_path`), so that whoever keeps them can fetch them at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class Span(NamedTuple):
    """The leaves [first, end) and the subtree over them."""

    first: int
    end: int


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(span: Span) -> tuple[Span, Span]:
    """Return the two halves of a span of at least two leaves: the left one is the largest power of two."""
    middle = span.first + (1 << (span.end - span.first - 1).bit_length() - 1)
    return Span(span.first, middle), Span(middle, span.end)


def is_perfect(span: Span) -> bool:
    """Say whether a subtree is complete, so that it never changes again."""
    size = span.end - span.first
    return size & (size - 1) == 0 and span.first % size == 0


def perfect_spans(span: Span) -> list[Span]:
    """Return the complete subtrees that a subtree is made of, from left to right."""
    if is_perfect(span):
        return [span]
    left, right = split(span)
    return perfect_spans(left) + perfect_spans(right)


def subtree_hash(span: Span, perfect: Callable[[Span], bytes]) -> bytes:
    """Return the hash of a subtree, given those of complete ones."""
    if is_perfect(span):
        return perfect(span)
    left, right = split(span)
    return node_hash(subtree_hash(left, perfect), subtree_hash(right, perfect))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_path(index: int, size: int) -> list[Span]:
    """Return the subtrees whose hashes prove that leaf `index` is in the tree of `size` leaves (2.1.3.1)."""
    span, path = Span(0, size), []
    while span.end - span.first > 1:
        left, right = split(span)
        span, other = (left, right) if index < left.end else (right, left)
        path.append(other)
    return path[::-1]


def consistency_path(old: int, new: int) -> list[Span]:
    """Return the subtrees whose hashes prove that the tree of `old` leaves begins that of `new` (2.1.4.1)."""
    if not 0 < old < new:
        return []
    span, path, whole = Span(0, new), [], True
    while span.end != old:
        left, right = split(span)
        if old <= left.end:
            path.append(right)
            span = left
        else:
            path.append(left)
            span, whole = right, False
    if not whole:
        path.append(span)
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether the proof leads from a leaf hash to the root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, reached = index, size - 1, leaf
    for other in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            reached = node_hash(other, reached)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            reached = node_hash(reached, other)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and reached == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether the proof shows that the tree of `new` leaves only adds to that of `old` (2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new or not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for other in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(other, first), node_hash(other, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, other)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root
