"""The finishing step: marked in every waveform, signed in or beside every file, and the same content each time."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from actors.marking.manifests import read_manifest
from actors.marking.marker import Marker, MarkingSpec
from actors.marking.waveforms import decode_waveform, payload_of
from flows.errors import KeysError
from flows.keys import read_keys
from models.generator import GenerationError, ProductFile
from models.watermark.detection import best_match, detect


def spec(keys, **changes):
    return MarkingSpec(**{"watermark_key": keys.watermark, "identity": keys.manifests} | changes)


@pytest.fixture(scope="module")
def finished(keys):
    made = {}

    def finish(asset_id, recipe, product, **changes):
        key = (asset_id, *changes.items())
        if key not in made:
            made[key] = Marker(spec(keys, **changes)).finish(asset_id, recipe, product)
        return made[key]

    return finish


def by_role(finished):
    return {file.role: file for file in finished.product.files}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("role", ["preview", "waveform", "mp3", "opus"])
def test_every_waveform_carries_the_mark_of_its_asset(finished, keys, asset_id, recipe, product, role):
    file = by_role(finished(asset_id, recipe, product))[role]
    wave, rate_hz = decode_waveform(file.data)
    issued = np.array([payload_of(asset_id), 1, 2, 3], dtype=np.uint64)
    found = best_match(detect(wave, rate_hz, keys.watermark), issued)
    assert found.found and found.payload == payload_of(asset_id)


@pytest.mark.parametrize("role", ["preview", "waveform", "mp3"])
def test_a_manifest_in_a_file_is_trusted_and_says_what_made_it(finished, keys, asset_id, recipe, product, role):
    file = by_role(finished(asset_id, recipe, product))[role]
    reading = read_manifest(file.data, file.media_type, keys.manifests.root)
    assert (reading.state, reading.failures, reading.embedded) == ("Trusted", (), True)
    assert (reading.asset, reading.recipe, reading.watermark) == (asset_id, recipe, asset_id[:16])
    assert read_manifest(file.data, file.media_type, None).state == "Valid"  # whole, and by nobody we know


@pytest.mark.parametrize("role", ["midi", "musicxml", "pdf", "opus"])
def test_a_manifest_beside_a_file_is_trusted_and_bound_to_it(finished, keys, asset_id, recipe, product, role):
    files = by_role(finished(asset_id, recipe, product))
    file, sidecar = files[role], files[role + ".c2pa"]
    assert sidecar.name == file.name + ".c2pa"
    reading = read_manifest(file.data, file.media_type, keys.manifests.root, sidecar.data)
    assert (reading.state, reading.asset) == ("Trusted", asset_id)
    changed = file.data[:-1] + bytes([file.data[-1] ^ 1])
    assert read_manifest(changed, file.media_type, keys.manifests.root, sidecar.data).state == "Invalid"


def test_the_codes_have_no_manifest_and_are_left_as_they_are(finished, asset_id, recipe, product):
    files = by_role(finished(asset_id, recipe, product))
    assert files["codes"] == product.files[0] and "codes.c2pa" not in files


def test_the_content_is_the_same_each_time_though_signatures_are_not(keys, finished, asset_id, recipe, product):
    first = finished(asset_id, recipe, product)
    again = Marker(spec(keys)).finish(asset_id, recipe, product)
    assert again.unsigned == first.unsigned and set(again.unsigned) == {"preview", "waveform", "mp3"}
    stages = [each.product.stages[-1] for each in (first, again)]
    assert stages[0].output_digest == stages[1].output_digest
    assert by_role(again)["preview"].data != by_role(first)["preview"].data


def test_a_lossy_file_is_coded_once_from_the_marked_master(finished, keys, asset_id, recipe, product):
    """So it is nearer to the marked master than a file that was decoded, marked and coded again."""
    alone = replace(product, files=tuple(file for file in product.files if file.role == "mp3"))
    master, _ = decode_waveform(by_role(finished(asset_id, recipe, product))["waveform"].data)
    once, _ = decode_waveform(by_role(finished(asset_id, recipe, product))["mp3"].data)
    twice, _ = decode_waveform(Marker(spec(keys)).finish(asset_id, recipe, alone).product.files[0].data)

    def noise(copy):
        return np.square(copy[: len(master)] - master[: len(copy)]).mean()

    assert noise(once) < noise(twice)


def test_what_is_turned_off_is_left_out_and_said(keys, asset_id, recipe, product):
    bare = Marker(MarkingSpec(watermark_key=None, identity=None)).finish(asset_id, recipe, product)
    assert bare.product.files == product.files and not bare.unsigned
    assert bare.product.stages[-1].detail == {"watermark": "off", "manifests": "off"}
    assert bare.product.stages[-1].input_digest == bare.product.stages[-1].output_digest
    beside = Marker(spec(keys, watermark_key=None, embedded=False)).finish(asset_id, recipe, product)
    assert by_role(beside)["preview"].data == product.files[4].data
    assert "preview.c2pa" in by_role(beside) and not beside.unsigned


def test_a_waveform_that_is_none_fails_alone(keys, asset_id, recipe, product):
    broken = ProductFile(role="preview", name="p.flac", media_type="audio/flac", data=b"fLaC and nothing else")
    with pytest.raises(GenerationError, match=r"p\.flac cannot be decoded"):
        Marker(spec(keys)).finish(asset_id, recipe, replace(product, files=(broken,)))


def test_a_command_signs_in_place_of_a_key(keys, asset_id, recipe, product, tmp_path):
    folder = tmp_path / "keys"
    shutil.copytree(keys.folder, folder)
    token = (folder / "manifest.key").rename(tmp_path / "token.pem")
    command = folder / "manifest.command"
    command.write_text(f"openssl dgst -sha256 -sign '{token}'  # as with a token or a service\n")
    midi = replace(product, files=tuple(file for file in product.files if file.role == "midi"))
    found = read_keys(folder)
    files = by_role(Marker(spec(found)).finish(asset_id, recipe, midi))
    reading = read_manifest(files["midi"].data, "audio/midi", keys.manifests.root, files["midi.c2pa"].data)
    assert (reading.state, reading.asset) == ("Trusted", asset_id)
    for words, said in (("cat no-such-token", "cannot be signed: cat: cat: no-such"), ("echo words", "no ECDSA")):
        command.write_text(words)
        with pytest.raises(GenerationError, match=said):
            Marker(spec(read_keys(folder))).finish(asset_id, recipe, midi)
    for words in ("", "no-such-program --sign"):
        command.write_text(words)
        with pytest.raises(KeysError, match="a command that is here is wanted"):
            read_keys(folder)


def test_another_process_reads_the_manifest_as_trusted(finished, keys, asset_id, recipe, product, tmp_path):
    """The reader of the Content Authenticity Initiative, which knows of us the root certificate only."""
    path = tmp_path / "copy.flac"
    path.write_bytes(by_role(finished(asset_id, recipe, product))["preview"].data)
    code = (
        "import c2pa, json, sys; anchors = open(sys.argv[2]).read()\n"
        "settings = c2pa.Settings.from_dict({'version': 1, 'trust': {'user_anchors': anchors}})\n"
        "reader = c2pa.Reader(sys.argv[1], context=c2pa.Context(settings))\n"
        "told = json.loads(reader.json()); active = told['manifests'][told['active_manifest']]\n"
        "print(json.dumps([told['validation_state'], [a['label'] for a in active['assertions']]]))"
    )
    arguments = [sys.executable, "-I", "-c", code, str(path), str(keys.folder / "root.pem")]
    state, labels = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert state == "Trusted"
    assert {"c2pa.actions.v2", "c2pa.ai-disclosure", "c2pa.soft-binding", "cawg.training-mining"} <= set(labels)
    assert "tutti.recipe" in labels
