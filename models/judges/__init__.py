"""Judges: programs that hear what is in a sound, none of which any training of Tutti ever used."""
