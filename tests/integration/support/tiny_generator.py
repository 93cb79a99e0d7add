"""A generator for tests: makes tiny real files (MIDI, MusicXML) from a recipe; misbehaves when its prompt says so.

Prompts: "poison" cannot be made; "finish" fails in the post stages; "explode" breaks the whole generator; "kill"
ends the process; "nan" makes attributes that no database holds. The environment variable TINY_STEP_S slows it down.
"""

import hashlib
import os
import signal
import struct
import sys
import time
from datetime import UTC, datetime

from models.generator import GenerationError, NumericProfile, Outcome, Product, ProductFile, StageRecord


class TinyGenerator:
    """Every item takes three steps; what comes out depends on the recipe alone."""

    def __init__(self, slots=4, step_s=None):
        self.slots = slots
        self.profile = NumericProfile(
            device="cpu", processor="any", dtype="int", torch="none", backend="tiny", slots=slots, threads=1
        )
        self.most_at_once = 0
        self._step_s = float(os.environ.get("TINY_STEP_S", "0")) if step_s is None else step_s
        self._left = {}
        self._recipes = {}

    def admit(self, key, recipe, inputs=None):
        assert len(self._left) < self.slots
        if "poison" in recipe["prompt"]:
            raise GenerationError("this prompt cannot be made: poison")
        self._left[key], self._recipes[key] = 3, recipe
        self.most_at_once = max(self.most_at_once, len(self._left))

    def advance(self):
        time.sleep(self._step_s)
        for key in self._left:
            prompt = self._recipes[key]["prompt"]
            if "explode" in prompt:
                raise RuntimeError("the generator is broken")
            if "kill" in prompt:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left[key] -= 1
        done = [key for key, left in self._left.items() if left == 0]
        for key in done:
            del self._left[key]
        return [Outcome(key, self._recipes.pop(key)) for key in done]

    def finish(self, drafted):
        if "finish" in drafted["prompt"]:
            raise ValueError("the page has no room")
        started = datetime.now(UTC)
        files = (
            ProductFile(
                role="musicxml", name="score.musicxml", media_type="application/xml", data=_musicxml(drafted)
            ),
            ProductFile(role="midi", name="score.mid", media_type="audio/midi", data=_midi(drafted)),
        )
        stage = StageRecord(
            name="compose",
            input_digest="sha256:" + hashlib.sha256(drafted["prompt"].encode()).hexdigest(),
            output_digest="sha256:" + hashlib.sha256(files[1].data).hexdigest(),
            started_at=started,
            wall_s=0.001,
        )
        strange = {"loudness": float("nan")} if "nan" in drafted["prompt"] else {}
        return Product(
            files=files, duration_s=drafted["duration_s"], stages=(stage,), attributes={"words": "tiny"} | strange
        )


class DeadlyToWorkers:
    """Ends the process that it travels to while it arrives there."""

    def __reduce__(self):
        return _die, (7,)


def _die(code):
    sys.stderr.write("no such library\n")
    sys.stderr.flush()
    raise SystemExit(code)


def load(version, *, device, dtype, slots, threads):
    """Have the signature of models.registry.load_generator."""
    return TinyGenerator(slots)


def _pitches(recipe):
    digest = hashlib.sha256(f"{recipe['seed']} {recipe['prompt']} {recipe['model']['digest']}".encode()).digest()
    return [48 + byte % 36 for byte in digest[:8]]


def _midi(recipe):
    events = b"".join(b"\x00\x90" + bytes([p, 80]) + b"\x60\x80" + bytes([p, 0]) for p in _pitches(recipe))
    track = events + b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track


def _musicxml(recipe):
    notes = "".join(
        f"<note><pitch><step>{'CDEFGAB'[p % 7]}</step><octave>{p // 12 - 1}</octave></pitch>"
        "<duration>1</duration><type>quarter</type></note>"
        for p in _pitches(recipe)
    )
    return (
        '<?xml version="1.0"?><score-partwise version="4.0"><part-list><score-part id="P1"><part-name>Piano'
        f'</part-name></score-part></part-list><part id="P1"><measure number="1">{notes}</measure></part>'
        "</score-partwise>"
    ).encode()
