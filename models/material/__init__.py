"""Training material: captioned clips rendered from free scores, rules and recordings."""
