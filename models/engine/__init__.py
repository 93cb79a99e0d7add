"""The token engine that serves every autoregressive stage.

A model gives embeddings, a trunk and heads (`model`); a request says what one sequence is to continue (`requests`);
`patterns` lays codebooks out over steps; the engine (`engine`) schedules (`scheduler`), lets a backend (`backend`)
run the step, and draws.
"""
