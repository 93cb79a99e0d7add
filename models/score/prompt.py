"""From free words to the controls of a score: reading what is there, deciding what is not."""

from models.score.cues import Cue
from models.score.decision import ExplicitControls, decide, explicit_controls
from models.score.reading import EmptyPromptError, Reading, read_prompt

__all__ = ["Cue", "EmptyPromptError", "ExplicitControls", "Reading", "decide", "explicit_controls", "read_prompt"]
