"""SoundStream (Zeghidour et al. 2021): waveform to codes and back."""
