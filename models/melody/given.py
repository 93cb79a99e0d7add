"""The melody that a recipe names by its digest, read from the file that came with it."""

from __future__ import annotations

from collections.abc import Mapping

from models.generator import MELODY, GenerationError, Json
from models.recording import Recording, RecordingError, read_recording


def given_melody(recipe: Mapping[str, Json], inputs: Mapping[str, bytes]) -> Recording | None:
    """Return the melody of a recipe, None if it names none.

    Raises:
        GenerationError: the file cannot be read, or is another than the recipe's.
        KeyError: there is no file.
    """
    digest = recipe["controls"].get(MELODY)
    if digest is None:
        return None
    try:
        recording = read_recording(inputs[MELODY], "a melody")
    except RecordingError as error:
        raise GenerationError(f"the melody: {error}") from error
    if recording.digest != digest:
        raise GenerationError(f"the recipe names the melody {digest}, given was {recording.digest}")
    return recording
