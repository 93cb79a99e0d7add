"""Melodies: the pitch of the leading voice over time, as classes that a stage can be told."""
