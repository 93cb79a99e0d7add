"""Serial numbers of Ogg streams."""

import pytest
from marking_sounds import encoded, tones

from actors.marking.ogg import _pages, _settled, with_settled_serial
from actors.marking.waveforms import decode_waveform


def test_two_encodings_of_a_sound_become_one_file_that_plays():
    waves = [encoded(tones(2.0), format="OGG", subtype="OPUS", rate=48_000) for _ in range(2)]
    assert waves[0] != waves[1], "the encoder draws no serial number any more: this module can go"
    settled = [with_settled_serial(wave) for wave in waves]
    assert settled[0] == settled[1] != waves[0]
    assert (decode_waveform(settled[0])[0] == decode_waveform(waves[0])[0]).all()


def test_checksums_are_those_that_the_encoder_writes():
    pages = list(_pages(encoded(tones(1.0), format="OGG", subtype="OPUS", rate=48_000)))
    assert len(pages) > 2 and all(_settled(page, page[14:18]) == page for page in pages)


def test_what_is_no_ogg_file_is_refused():
    with pytest.raises(ValueError, match="byte 0"):
        with_settled_serial(b"RIFF....")
