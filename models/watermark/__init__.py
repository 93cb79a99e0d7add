"""A keyed, imperceptible mark in waveforms: 64 bits that survive lossy codecs, resampling and cuts."""
