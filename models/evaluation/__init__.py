"""Measuring what was generated: figures that judges and signal processing give, each beside its references."""
