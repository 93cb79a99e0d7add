"""The finishing step of every product: the mark in its waveforms and the manifests of its files."""
