"""Nightly playlists: listening in, tastes, lists and pieces made for listeners, files out."""
