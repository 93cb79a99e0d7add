"""The token engine that serves every autoregressive stage."""
