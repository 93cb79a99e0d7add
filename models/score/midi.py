"""MIDI: a draft as a standard MIDI file that can be played, with a little of a player's shaping."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo

from models.score.controls import TICKS_PER_QUARTER, ScoreControls
from models.score.draft import Draft, Note, Part
from models.score.instruments import INSTRUMENTS
from models.score.partnames import part_names
from models.score.spelling import signature
from models.score.tempi import beat_unit

TICKS_PER_BEAT = 480  # of the file; forty to a tick of the grid
_SCALE = TICKS_PER_BEAT // TICKS_PER_QUARTER
_LOUDNESS = {"pp": 36, "p": 48, "mp": 60, "mf": 72, "f": 88, "ff": 104}  # velocity
_CHANNELS = tuple(c for c in range(16) if c != 9)  # the tenth is percussion
_DOWNBEAT, _ON_BEAT, _OFF_BEAT = 7, 2, -4  # velocity
_TOP, _INNER = 4, -3  # the highest note of a staff at its onset, and the others
_BREATH = 6  # file ticks taken off a note's end, so that the next of its pitch is heard as new
_MAJOR_NAMES = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR_NAMES = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


def write_midi(draft: Draft) -> bytes:
    """Return the draft as a standard MIDI file of type 1: a conductor's track, then one track per part."""
    names = part_names([part.instrument for part in draft.parts])
    file = MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    file.tracks.append(_conductor(draft))
    for part, name, channel in zip(draft.parts, names, _CHANNELS, strict=False):
        file.tracks.append(_play(draft, part, name.full, channel))
    out = BytesIO()
    file.save(file=out)
    return out.getvalue()


def _conductor(draft: Draft) -> MidiTrack:
    controls = draft.controls
    beats, unit = (int(n) for n in controls.metre.split("/"))
    signs = signature(controls.key)
    names = _MAJOR_NAMES if controls.key.mode == "major" else _MINOR_NAMES
    click = beat_unit(controls.metre).ticks * 24 // TICKS_PER_QUARTER
    return MidiTrack(
        [
            MetaMessage("track_name", name=controls.title, time=0),
            MetaMessage("set_tempo", tempo=bpm2tempo(controls.tempo_bpm), time=0),
            MetaMessage("time_signature", numerator=beats, denominator=unit, clocks_per_click=click, time=0),
            MetaMessage("key_signature", key=_folded(names, signs), time=0),
            MetaMessage("end_of_track", time=draft.ticks * _SCALE),
        ]
    )


def _folded(names: tuple[str, ...], signs: int) -> str:
    """Name the key of a signature; MIDI has none beyond seven signs, so those take the enharmonic one."""
    if signs > 7:
        signs -= 12
    return names[signs + 7]


def _play(draft: Draft, part: Part, name: str, channel: int) -> MidiTrack:
    kind = INSTRUMENTS[part.instrument]
    track = MidiTrack(
        [
            MetaMessage("track_name", name=name, time=0),
            Message("program_change", channel=channel, program=kind.program, time=0),
        ]
    )
    events = [event for staff in part.staves for event in _events(draft.controls, staff)]
    sounding: dict[int, int] = {}  # both hands may hold one key: it is struck again, and let go by the last
    now = 0
    for time, is_on, pitch, velocity in sorted(events):
        sounding[pitch] = sounding.get(pitch, 0) + (1 if is_on else -1)
        if not is_on and sounding[pitch] > 0:
            continue
        if is_on and sounding[pitch] > 1:
            track.append(Message("note_off", channel=channel, note=pitch, velocity=0, time=time - now))
            now = time
        kind_of = "note_on" if is_on else "note_off"
        track.append(Message(kind_of, channel=channel, note=pitch, velocity=velocity, time=time - now))
        now = time
    track.append(MetaMessage("end_of_track", time=max(0, draft.ticks * _SCALE - now)))
    return track


def _events(controls: ScoreControls, staff: tuple[Note, ...]) -> Iterator[tuple[int, bool, int, int]]:
    """Yield (file tick, is it a beginning, pitch, velocity); at one tick, ends sort first."""
    top: dict[int, int] = {}
    for note in staff:
        top[note.onset] = max(note.pitch, top.get(note.onset, 0))
    for note in staff:
        velocity = _velocity(controls, note, is_top=top[note.onset] == note.pitch)
        begin, end = note.onset * _SCALE, note.end * _SCALE
        yield begin, True, note.pitch, velocity
        yield max(begin + 1, end - _BREATH), False, note.pitch, 0


def _velocity(controls: ScoreControls, note: Note, *, is_top: bool) -> int:
    """Return how hard a note is struck: by dynamics, place in the bar, and a swell to the piece's two thirds."""
    within = note.onset % controls.bar_ticks
    beat = beat_unit(controls.metre).ticks
    accent = _DOWNBEAT if within == 0 else _ON_BEAT if within % beat == 0 else _OFF_BEAT
    done = note.onset / (controls.bars * controls.bar_ticks)
    swell = round(8 * min(done / 0.66, (1 - done) / 0.34)) - 4
    return max(1, min(127, _LOUDNESS[controls.dynamics] + accent + swell + (_TOP if is_top else _INNER)))
