"""w2v-BERT (Chung et al. 2021): semantic tokens, as MusicLM uses them."""
