"""Proving where a file came from: audits, proof bundles, recalls and exports of lineage."""
