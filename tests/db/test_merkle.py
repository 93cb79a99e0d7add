"""The tree, against an independent reading of RFC 9162: its recursive definitions, written out as they stand."""

import hashlib

import pytest

from db.merkle import (
    Span,
    consistency_path,
    inclusion_path,
    leaf_hash,
    perfect_spans,
    root_of,
    subtree_hash,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [f"entry {number}".encode() for number in range(70)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def mth(d):
    """2.1.1: the Merkle Tree Hash of a list of entries."""
    if not d:
        return hashlib.sha256().digest()
    if len(d) == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = largest_power_of_two_below(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def largest_power_of_two_below(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m, d):
    """2.1.3.1: PATH(m, D_n)."""
    if len(d) == 1:
        return []
    k = largest_power_of_two_below(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m, d, b):
    """2.1.4.1: SUBPROOF(m, D_n, b)."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = largest_power_of_two_below(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def hashes(spans):
    return [subtree_hash(span, lambda perfect: mth(ENTRIES[perfect.first : perfect.end])) for span in spans]


@pytest.mark.parametrize("size", range(70))
def test_the_root_is_that_of_the_definition(size):
    assert root_of(LEAVES[:size]) == mth(ENTRIES[:size])
    if size:
        assert hashes([Span(0, size)]) == [mth(ENTRIES[:size])]
        assert sum(span.end - span.first for span in perfect_spans(Span(0, size))) == size


@pytest.mark.parametrize("size", range(1, 70))
def test_inclusion_proofs_are_those_of_the_definition_and_hold_for_their_leaf_alone(size):
    root = mth(ENTRIES[:size])
    for index in range(size):
        proof = hashes(inclusion_path(index, size))
        assert proof == path(index, ENTRIES[:size])
        assert verify_inclusion(LEAVES[index], index, size, proof, root)
        assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
        assert not verify_inclusion(LEAVES[index], index, size, [*proof, root], root)
        if index + 1 < size:
            assert not verify_inclusion(LEAVES[index], index + 1, size, proof, root)
        for bad in range(len(proof)):
            assert not verify_inclusion(LEAVES[index], index, size, flipped(proof, bad), root)


@pytest.mark.parametrize("new", range(1, 70, 3))
def test_consistency_proofs_are_those_of_the_definition_and_no_rewritten_history_passes(new):
    roots = [mth(ENTRIES[:size]) for size in range(new + 1)]
    rewritten = mth([b"forged", *ENTRIES[1:new]])
    for old in range(1, new + 1):
        proof = hashes(consistency_path(old, new))
        assert proof == subproof(old, ENTRIES[:new], True)
        assert verify_consistency(old, new, roots[old], roots[new], proof)
        assert not verify_consistency(old, new, roots[old], rewritten, proof)
        assert not verify_consistency(old, new, roots[old - 1], roots[new], proof)
        for bad in range(len(proof)):
            assert not verify_consistency(old, new, roots[old], roots[new], flipped(proof, bad))


def flipped(proof, at):
    return [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
