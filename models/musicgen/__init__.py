"""MusicGen (Copet et al. 2023) from its checkpoints on Hugging Face, through our engine."""
