"""Accompaniment for a singing voice (SingSong, Donahue et al. 2023)."""
