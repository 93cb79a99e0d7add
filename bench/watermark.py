"""The mark on the sounds of the home that TUTTI_HOME names: is each copy traced to its asset, and nothing else?

The first waveform of each asset is marked once more, with another key, so that what is measured is the code at hand
and the mark alone; "renamed" is the stored file itself, which is known by its bytes and its manifest. Copies are
looked at as `tutti audit` looks at a file, among the ids of the home and many more that were drawn at random. MP3 and
Opus are what libsndfile's encoders make, at 44.1 and 48 kHz. Times are one thread's processor time.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import torch
import torchaudio

from actors.marking.waveforms import decode_waveform, is_waveform, payload_of
from bench.support import finish, parser, show
from db.assets import AssetFilter, list_assets
from flows.keys import Keys, load_keys
from flows.provenance.audits import catalogue_of
from flows.provenance.identity import Catalogue, identify
from flows.services import Services
from flows.settings import load_settings
from models.evaluation.fidelity import visqol
from models.material.clips import ClipSet
from models.watermark.detection import best_match, detect
from models.watermark.embedding import embed
from models.watermark.grid import Floats

OTHER_KEY: Final = b"k" * 32
LOSSLESS: Final = ("renamed", "retagged", "WAV", "FLAC")
_CD_HZ, _STUDIO_HZ = 44_100, 48_000


@dataclass(frozen=True, slots=True)
class Sound:
    """A waveform (samples, channels)."""

    wave: Floats
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.wave) / self.rate_hz

    def at(self, rate_hz: int) -> Sound:
        """Return it at another rate."""
        if rate_hz == self.rate_hz:
            return self
        there = torchaudio.functional.resample(torch.from_numpy(self.wave.T.copy()), self.rate_hz, rate_hz)
        return Sound(there.numpy().T.copy(), rate_hz)

    def cut(self, seconds: float) -> Sound:
        """Return so much of it, from 7.123 s on, or from where there is as much."""
        start = round(max(0.0, min(7.123, self.seconds - seconds)) * self.rate_hz)
        return replace(self, wave=self.wave[start : start + round(seconds * self.rate_hz)])

    def under(self, voice: Sound) -> Sound:
        """Return it 10 dB below a voice."""
        over = np.resize(voice.at(self.rate_hz).wave.mean(axis=1), len(self.wave))[:, None]
        gain = np.sqrt(np.square(self.wave).mean() / np.square(over).mean()) * 10**0.5
        mixed = self.wave + over * gain
        return replace(self, wave=(mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32))

    def coded(self, **how: Any) -> bytes:
        """Return a file of it."""
        file = io.BytesIO()
        soundfile.write(file, self.wave, self.rate_hz, **how)
        return file.getvalue()

    def mp3(self, kbps: int) -> bytes:
        """Return an MP3 of a constant bit rate, 32 to 320."""
        level = (320 - kbps) / (320 - 32)
        return self.at(_CD_HZ).coded(format="MP3", compression_level=level, bitrate_mode="CONSTANT")

    def opus(self, kbps: int) -> bytes:
        """Return an Opus file of about a bit rate, which libsndfile wants for each channel."""
        level = 1 - (kbps / self.wave.shape[1] - 6) / 250
        return self.at(_STUDIO_HZ).coded(format="OGG", subtype="OPUS", compression_level=level)

    def retagged(self) -> bytes:
        """Return a FLAC file with tags, as an editor writes it: its samples as they were, its manifest lost."""
        out = io.BytesIO()
        channels = self.wave.shape[1]
        with soundfile.SoundFile(out, "w", self.rate_hz, channels, format="FLAC", subtype="PCM_16") as writer:
            writer.title, writer.artist = "Holiday", "Somebody else"
            writer.write(self.wave)
        return out.getvalue()


def copies(sound: Sound, voice: Sound) -> Iterator[tuple[str, str, bytes]]:
    """Yield (what it is, ending, file) of the copies of a sound."""
    yield "retagged", ".flac", sound.retagged()
    yield "WAV", ".wav", sound.coded(format="WAV", subtype="PCM_16")
    yield "FLAC", ".flac", sound.coded(format="FLAC", subtype="PCM_24")
    for kbps in (320, 128):
        yield f"MP3 {kbps} kbit/s", ".mp3", sound.mp3(kbps)
    for kbps in (96, 64):
        yield f"Opus {kbps} kbit/s", ".opus", sound.opus(kbps)
    yield "8 kHz", ".wav", sound.at(8_000).coded(format="WAV", subtype="PCM_16")
    other_hz = _CD_HZ if sound.rate_hz != _CD_HZ else _STUDIO_HZ
    yield "resampled", ".wav", sound.at(other_hz).coded(format="WAV", subtype="PCM_16")
    yield "-6 dB", ".wav", replace(sound, wave=sound.wave * np.float32(0.5)).coded(format="WAV", subtype="PCM_16")
    yield "cut to 10 s", ".wav", sound.cut(10.0).coded(format="WAV", subtype="PCM_16")
    yield "10 dB below speech", ".wav", sound.under(voice).coded(format="WAV", subtype="PCM_16")


def unmarked(folder: Path, count: int) -> Iterator[Sound]:
    """Yield so many clips that nobody marked, evenly from a set of rendered clips."""
    clips = ClipSet(folder)
    for number in np.linspace(0, len(clips) - 1, count).astype(int):
        yield Sound(clips.waveform(int(number))[:, None], 16_000)


def trace(
    assets: Sequence[tuple[str, bytes, Sound]], voice: Sound, known: Catalogue, keys: Keys
) -> list[dict[str, Any]]:
    """Look for the asset of every copy; return a row for each kind of copy.

    Args:
        assets: ids, the stored files, and their sounds as they are marked with OTHER_KEY.
        voice: somebody speaking.
        known: what the home knows.
        keys: its keys.
    """
    rows: dict[str, dict[str, Any]] = {}
    others = replace(keys, watermark=OTHER_KEY)
    for asset, data, sound in assets:
        looked_at = [("renamed", identify(Path("copy.flac"), data, known, keys))]
        looked_at += [(n, identify(Path(f"copy{end}"), copy, known, others)) for n, end, copy in copies(sound, voice)]
        for name, identity in looked_at:
            row = rows.setdefault(name, {"copy": name, "right": 0, "wrong": 0, "of": 0, "missed": []})
            row["right"] += identity.assets == [asset]
            row["wrong"] += bool(set(identity.assets) - {asset})
            row["of"] += 1
            if identity.assets != [asset]:
                row["missed"].append(asset[:12])
    return list(rows.values())


def claims(sounds: Iterator[Sound], issued: Sequence[str], keys: Keys) -> dict[str, float]:
    """Look for marks where there are none; return how many were claimed, and how near the nearest came."""
    payloads = np.array([payload_of(each) for each in issued], dtype=np.uint64)
    looked_at = claimed = 0
    nearest = 0.0
    for sound in sounds:
        found = detect(sound.wave, sound.rate_hz, keys.watermark)
        match = best_match(found, payloads)
        assert match is not None
        claimed += found.found or match.found
        nearest = max(nearest, match.strength / match.threshold)
        looked_at += 1
    return {"unmarked": looked_at, "claimed": claimed, "nearest_to_threshold": nearest}


def quality(pairs: Sequence[tuple[Sound, Sound]], judged: int) -> dict[str, float]:
    """Return how a mark can be heard, and processor time for 30 s, of sounds without and with it."""
    figures: dict[str, list[float]] = defaultdict(list)
    for number, (sound, marked) in enumerate(pairs):
        half_minute = np.resize(sound.wave, (30 * sound.rate_hz, sound.wave.shape[1]))
        began = time.process_time()
        embed(half_minute, sound.rate_hz, OTHER_KEY, number)
        between = time.process_time()
        detect(half_minute, sound.rate_hz, OTHER_KEY)
        figures["embed_30_s"].append(between - began)
        figures["detect_30_s"].append(time.process_time() - between)
        music, mark = (np.square(w, dtype=np.float64).sum() for w in (sound.wave, marked.wave - sound.wave))
        figures["below_db"].append(10 * float(np.log10(music / mark)))
        if number % max(1, len(pairs) // max(1, judged)) == 0 and len(figures["visqol"]) < judged:
            figures["visqol"].append(visqol(sound.wave.mean(axis=1), marked.wave.mean(axis=1), sound.rate_hz))
    told = {
        "below_db_least": min(figures["below_db"]),
        "embed_30_s_mean": float(np.mean(figures["embed_30_s"])),
        "embed_30_s_most": max(figures["embed_30_s"]),
        "detect_30_s_mean": float(np.mean(figures["detect_30_s"])),
        "detect_30_s_most": max(figures["detect_30_s"]),
    }
    if figures["visqol"]:
        told |= {"visqol_mean": float(np.mean(figures["visqol"])), "visqol_least": min(figures["visqol"])}
    return told


def main() -> None:
    """Copy, look for marks, and print what was found."""
    options = parser(__doc__)
    options.add_argument("--catalogue", help="of the home; all if it is not given")
    options.add_argument("--assets", type=int, default=50)
    options.add_argument("--issued", type=int, default=100_000, help="ids besides those of the home")
    options.add_argument("--speech", type=Path, required=True, help="a file of somebody speaking")
    options.add_argument("--clips", type=Path, help="the rendered clips of a training: OUT/clips")
    options.add_argument("--unmarked", type=int, default=1_000, help="how many of these are looked at")
    options.add_argument("--visqol", type=int, default=10, help="how many sounds ViSQOL judges, about 8 s for 10 s")
    given = options.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    others = [f"{a:016x}{b:016x}" * 2 for a, b in rng.integers(0, 2**64, (given.issued, 2), dtype=np.uint64).tolist()]
    services = Services(load_settings())
    keys = load_keys(services.settings)
    with services.open() as backend, backend.database.unit_of_work() as session:
        catalogue = catalogue_of(session)
        issued = [*catalogue.all_ids(), *others]
        known = replace(catalogue, all_ids=lambda: issued)
        found = list_assets(session, AssetFilter(catalogue=given.catalogue, limit=given.assets))
        assets = [
            (asset.id, backend.objects.get(next(f.digest for f in asset.files if is_waveform(f.media_type))))
            for asset in found
        ]
        sounds = [Sound(*decode_waveform(data)) for _, data in assets]
        marked = [
            replace(sound, wave=embed(sound.wave, sound.rate_hz, OTHER_KEY, payload_of(asset)))
            for (asset, _), sound in zip(assets, sounds, strict=True)
        ]
        looked_for = [(*asset, sound) for asset, sound in zip(assets, marked, strict=True)]
        rows = trace(looked_for, Sound(*decode_waveform(given.speech.read_bytes())), known, keys)
    show([{**row, "missed": len(row["missed"])} for row in rows])
    right, of = (sum(row[name] for row in rows) for name in ("right", "of"))
    figures: dict[str, Any] = {"right": right, "of": of, "share": right / of}
    figures["lossless_share"] = sum(r["right"] for r in rows if r["copy"] in LOSSLESS) / (len(LOSSLESS) * len(assets))
    figures |= quality(list(zip(sounds, marked, strict=True)), given.visqol)
    if given.clips is not None:
        figures |= claims(unmarked(given.clips, given.unmarked), issued, keys)
    show([{"figure": name, "value": value} for name, value in figures.items()])
    finish("watermark", {"rows": rows, **figures}, as_json=given.json)


if __name__ == "__main__":
    main()
