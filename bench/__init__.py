"""Benchmarks: each prints figures, none passes or fails. See README.md beside this file."""
