"""MusicLM (Agostinelli et al. 2023): from words to sound by way of semantic, coarse and fine tokens."""
