"""What may come next: the grammar of score tokens, as a mask over the vocabulary.

It keeps a draft playable and writable whatever the model prefers: every note inside its instrument's range, one
note at a time for a single line, at most two voices on any other staff, bars that add up, triplets that stay in
their beat, no instrument silent for long, and exactly the bars that were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.score.controls import METRES
from models.score.encoding import MAX_CHORD
from models.score.vocabulary import BEAT, GRID, LOWEST, VOCABULARY, StaffKind

LONGEST_REST_BARS = 2  # bars a staff may be silent before it must play
MAX_VOICES = 2
SPAN = 14  # semitones a hand reaches
EVENTS_A_BAR = 24  # of one staff; more than any passage of the corpus needs
_COMPOUND = {"3/8", "6/8", "9/8", "12/8"}  # a third of their beat is an eighth: no triplets
_AT = VOCABULARY.ranges["at"][0]
_PITCH = VOCABULARY.ranges["pitch"][0]
_DURATION = VOCABULARY.ranges["duration"][0]
_AT_TOKEN = {tick: _AT + n for n, tick in enumerate(GRID.onsets[:-1])}
_FITTING = {  # onset in the bar -> (duration, its token) of every duration that fits there
    onset: tuple((d, _DURATION + n) for n, d in enumerate(GRID.durations) if GRID.fits(onset, d))
    for onset in GRID.onsets
}
_BINARY = {onset: tuple(pair for pair in pairs if pair[0] % 3 == 0) for onset, pairs in _FITTING.items()}


@dataclass(frozen=True, slots=True)
class StaffPlan:
    """One staff to be filled: its token, and the range of its pitches relative to the tonic."""

    kind: StaffKind
    token: int
    low: int
    high: int


@dataclass(slots=True)
class _StaffState:
    implied: int = 0  # where the next event begins if nothing is said, in ticks from the start of the piece
    last_onset: int = -1
    last_duration: int = 0
    sounding: list[tuple[int, int]] = field(default_factory=list)  # (end, pitch)
    voices: list[int] = field(default_factory=list)  # ends of events
    silent_bars: int = 0
    triplet_beats: set[int] = field(default_factory=set)
    binary_beats: set[int] = field(default_factory=set)


class ScoreGrammar:
    """Follows one sequence token by token, and says which tokens may come next."""

    def __init__(self, *, metre: str, bars: int, staves: tuple[StaffPlan, ...]) -> None:
        self.bar_ticks, self.bars, self.staves = METRES[metre], bars, staves
        self._fitting = _BINARY if metre in _COMPOUND else _FITTING
        self.done = False
        self._bar, self._staff = -1, len(staves)
        self._states = [_StaffState() for _ in staves]
        self._onset = 0
        self._pitches: list[int] = []
        self._events_in_bar = 0
        self._at_given = False
        self._bar_is_heard = False

    def allowed(self) -> NDArray[np.bool_]:
        """Return mask_V of the tokens that may come next; at least one is True until `done`."""
        mask = np.zeros(len(VOCABULARY), dtype=bool)
        if self._pitches:
            self._allow_durations(mask)
            self._allow_chord(mask)
        elif self._at_given:
            self._allow_pitches(mask, self._onset)
        else:
            self._allow_event(mask)
        return mask

    def push(self, token: int) -> None:
        """Follow the sequence by one token, which must have been allowed."""
        name, value = VOCABULARY.names[token]
        match name:
            case "bar":
                self._leave_staff()
                self._bar, self._staff, self._bar_is_heard = self._bar + 1, -1, False
            case "staff":
                self._leave_staff()
                self._staff += 1
                self._events_in_bar = 0
                state = self._states[self._staff]
                state.implied = max(state.implied, self._bar * self.bar_ticks)
                state.last_onset, state.last_duration = -1, 0
                self._onset = state.implied
            case "at":
                assert isinstance(value, int)
                self._onset, self._at_given = self._bar * self.bar_ticks + value, True
            case "pitch":
                assert isinstance(value, int)
                self._pitches.append(value)
            case "duration":
                assert isinstance(value, int)
                self._strike(value)
            case _:
                self.done = True

    # What may come next

    def _allow_event(self, mask: NDArray[np.bool_]) -> None:
        if self._staff >= len(self.staves) or self._bar < 0:
            mask[VOCABULARY.bar(self.bars - self._bar - 1)] = True
            return
        if self._staff < 0:
            mask[self.staves[0].token] = True
            return
        state, end = self._states[self._staff], (self._bar + 1) * self.bar_ticks
        if self._events_in_bar < EVENTS_A_BAR:
            if state.implied < end and self._voices_at(state.implied) < MAX_VOICES:
                self._allow_pitches(mask, state.implied)
            self._allow_onsets(mask, state, end)
        if self._events_in_bar or self._may_rest(state) or not mask.any():
            mask[self._next_token()] = True

    def _may_rest(self, state: _StaffState) -> bool:
        never_played_and_last_chance = not state.voices and self._bar + 1 == self.bars
        all_would_rest = self._staff + 1 == len(self.staves) and not self._bar_is_heard and not self._rings_on(state)
        return state.silent_bars < LONGEST_REST_BARS and not never_played_and_last_chance and not all_would_rest

    def _rings_on(self, state: _StaffState) -> bool:
        return state.implied > self._bar * self.bar_ticks

    def _next_token(self) -> int:
        if self._staff + 1 < len(self.staves):
            return self.staves[self._staff + 1].token
        return VOCABULARY.end if self._bar + 1 == self.bars else VOCABULARY.bar(self.bars - self._bar - 1)

    def _allow_onsets(self, mask: NDArray[np.bool_], state: _StaffState, end: int) -> None:
        line = self.staves[self._staff].kind == "line"
        bar_start = end - self.bar_ticks
        earliest = state.implied if line else max(state.last_onset, bar_start)
        for tick, token in _AT_TOKEN.items():
            onset = bar_start + tick
            if not earliest <= onset < end or onset == state.implied:
                continue
            if self._voices_at(onset) < (1 if line else MAX_VOICES) and any(self._durations_from(state, onset)):
                mask[token] = True

    def _allow_pitches(self, mask: NDArray[np.bool_], onset: int) -> None:
        state, plan = self._states[self._staff], self.staves[self._staff]
        if not any(self._durations_from(state, onset)):
            return
        above = self._pitches[-1] + 1 if self._pitches else plan.low
        ceiling = min(plan.high, self._pitches[0] + SPAN) if self._pitches else plan.high
        if ceiling >= above:
            mask[_PITCH + above - LOWEST : _PITCH + ceiling - LOWEST + 1] = True
        for end, pitch in state.sounding:
            if end > onset:
                mask[_PITCH + pitch - LOWEST] = False

    def _allow_chord(self, mask: NDArray[np.bool_]) -> None:
        if self.staves[self._staff].kind != "line" and len(self._pitches) < MAX_CHORD:
            self._allow_pitches(mask, self._onset)

    def _allow_durations(self, mask: NDArray[np.bool_]) -> None:
        state = self._states[self._staff]
        for token in self._durations_from(state, self._onset):
            mask[token] = True

    def _durations_from(self, state: _StaffState, onset: int) -> Iterator[int]:
        """Yield the tokens of the durations that an event at `onset` may have."""
        left = self.bars * self.bar_ticks - onset
        longer = state.last_duration if onset == state.last_onset else 0
        for duration, token in self._fitting[onset % self.bar_ticks]:
            if longer < duration <= left and self._keeps_beats(state, onset, duration):
                yield token

    def _keeps_beats(self, state: _StaffState, onset: int, duration: int) -> bool:
        """Tell whether a beat would hold triplets and binary values at once."""
        for edge in (onset, onset + duration):
            beat, inside = divmod(edge, BEAT)
            if inside in (4, 8):
                if beat in state.binary_beats:
                    return False
            elif inside and beat in state.triplet_beats:
                return False
        return True

    def _voices_at(self, onset: int) -> int:
        return sum(end > onset for end in self._states[self._staff].voices)

    # What has come

    def _strike(self, duration: int) -> None:
        state, onset = self._states[self._staff], self._onset
        end = onset + duration
        state.sounding = [(e, p) for e, p in state.sounding if e > onset] + [(end, p) for p in self._pitches]
        state.voices = [e for e in state.voices if e > onset] + [end]
        for edge in (onset, end):
            beat, inside = divmod(edge, BEAT)
            if inside:
                (state.triplet_beats if inside in (4, 8) else state.binary_beats).add(beat)
        state.last_onset, state.last_duration, state.implied = onset, duration, end
        self._onset, self._pitches, self._at_given = end, [], False
        self._events_in_bar += 1

    def _leave_staff(self) -> None:
        if self._bar >= 0 and self._staff >= 0:
            state = self._states[self._staff]
            heard = self._events_in_bar > 0 or state.implied > (self._bar + 1) * self.bar_ticks
            self._bar_is_heard |= heard
            state.silent_bars = 0 if heard else state.silent_bars + 1
