"""Audits: what is as it was made is proved, every change is found and named, what is foreign is claimed by nobody."""

import random
import shutil
import time
from dataclasses import replace
from datetime import date, timedelta

import pytest
from marking_sounds import encoded, tones
from sounding import checks, new_place
from sqlalchemy import text

from actors.marking.manifests import Claim, ManifestSigner
from actors.marking.waveforms import decode_waveform
from db.asset_entries import ASSET
from db.canonical import canonical
from db.ledger import get_entry, stream_entries
from db.listeners import add_listener, forget_listener
from db.merkle import leaf_hash
from db.playlists import PLAYLIST, NewPlaylist, PieceFor, clock, note_pieces_for, record_playlists
from db.recalls import ERASURE, WITHDRAWAL, note_erasure, withdraw
from flows.certificates import development_chain
from flows.errors import KeysError
from flows.keys import make_keys, marking_spec, read_keys
from flows.provenance.catalogue_audit import EmptyCatalogueError, audit_catalogue
from models.signing import sign_version


def audited(place, path, **how):
    return place.auditor(**how).audit_file(path)


@pytest.fixture
def copy(place, assets, tmp_path):
    """Write a file of asset 1 somewhere, under another name; return its path."""

    def write(role="preview", suffix=".flac", data=None):
        path = tmp_path / f"holiday{suffix}"
        path.write_bytes(place.data(assets[1], role) if data is None else data)
        return path

    return write


def test_an_asset_is_proved_from_its_recipe_to_the_signed_log_and_made_again(place, assets):
    found = place.auditor(reproduce=True).audit_asset(assets[1].id[:12])
    assert found.verdict == "proved", [check for check in found.checks if not check.ok]
    assert all(check.ok for check in found.checks)
    assert {"recipe", "entry", "inclusion", "rows", "objects", "manifests", "watermark", "model", "reproduced"} <= {
        *checks(found)
    }
    assert checks(found)["training data"].detail.startswith("nothing (CC0-1.0)")
    answer = found.as_json()
    assert set(answer) == {"subject", "verdict", "checks", "recipe", "lineage"}
    assert answer["recipe"]["seed"] == 1 and answer["lineage"][-1]["step"] == "entered"


def test_a_renamed_file_is_proved_by_its_bytes_manifest_and_mark(place, assets, copy):
    found = audited(place, copy())
    assert found.verdict == "proved"
    assert all(checks(found)[name].ok for name in ("bytes", "manifest", "watermark", "agreement"))


def test_a_copy_through_mp3_is_proved_by_its_mark_alone(place, assets, copy):
    wave, rate_hz = decode_waveform(place.data(assets[1], "preview"))
    found = audited(place, copy(suffix=".mp3", data=encoded(wave * 0.5, rate=rate_hz, format="MP3")))
    assert found.verdict == "proved" and found.recipe["seed"] == 1
    assert checks(found)["bytes"].ok is None and checks(found)["manifest"].ok is None
    assert checks(found)["watermark"].ok


@pytest.mark.parametrize("role", ["midi", "musicxml"])
def test_a_score_without_sound_is_proved_by_its_bytes_or_its_sidecar(place, assets, copy, role):
    path = copy(role, suffix=".mid")
    assert audited(place, path).verdict == "proved"
    path.with_name(path.name + ".c2pa").write_bytes(place.data(assets[1], role + ".c2pa"))
    assert checks(audited(place, path))["manifest"].ok


def test_what_was_never_made_here_is_claimed_by_nobody(place, assets, copy):
    for data in (encoded(tones(6.0, seed=99), format="FLAC"), b"MThd" + bytes(40), b"", b"words"):
        found = audited(place, copy(data=data))
        assert found.verdict == "unknown" and found.recipe is None


def test_every_flipped_bit_of_a_signed_file_is_found(place, assets, copy):
    data = place.data(assets[1], "preview")
    rng = random.Random(0)
    places = [rng.randrange(6000) for _ in range(12)] + [rng.randrange(len(data)) for _ in range(12)]
    for at in places:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        found = audited(place, copy(data=bytes(changed)))
        told = " ".join(check.detail for check in found.checks if check.ok is False)
        assert found.verdict == "failed" and ("preview.flac" in told or "manifest" in told), at


def test_a_manifest_copied_to_another_sound_is_found(place, assets, copy):
    other = encoded(tones(6.0, seed=50), format="FLAC")
    path = copy(data=other)
    path.with_name(path.name + ".c2pa").write_bytes(place.data(assets[1], "midi.c2pa"))
    found = audited(place, path)
    assert found.verdict == "failed" and "does not hold" in checks(found)["manifest"].detail


def test_a_file_that_carries_the_manifest_of_one_asset_and_the_bytes_of_another_is_found(place, assets, copy):
    path = copy("midi", suffix=".mid")
    path.with_name(path.name + ".c2pa").write_bytes(place.data(assets[2], "midi.c2pa"))
    assert audited(place, path).verdict == "failed"


def test_a_signature_by_somebody_else_is_not_trusted(place, assets, copy, tmp_path):
    make_keys(tmp_path / "others", development=True)
    theirs = read_keys(tmp_path / "others")
    stranger = place.auditor()
    object.__setattr__(
        stranger,
        "keys",
        type(theirs)(
            folder=theirs.folder,
            log=place.keys.log,
            models=theirs.models,
            trusted_models=theirs.trusted_models,
            manifests=theirs.manifests,
            revoked=theirs.revoked,
            watermark=theirs.watermark,
        ),
    )
    found = stranger.audit_file(copy())
    assert found.verdict == "failed" and "nothing here vouches for" in checks(found)["manifest"].detail


def test_a_revoked_certificate_is_named(place, assets, copy):
    serial = place.keys.certificate.serial_number
    (place.keys.folder / "revoked.txt").write_text(f"# stolen\n{serial:#x}\n")
    try:
        revoking = place.auditor()
        object.__setattr__(revoking, "keys", read_keys(place.keys.folder))
        found = revoking.audit_file(copy())
    finally:
        (place.keys.folder / "revoked.txt").unlink()
    assert found.verdict == "failed" and "revoked" in checks(found)["manifest"].detail


def test_a_certificate_that_has_expired_is_named(place, assets, copy, tmp_path):
    keys = own_keys(place, tmp_path / "keys", development_chain(timedelta(seconds=2)))
    claim = Claim(
        title="score.mid",
        asset=assets[1].id,
        role="midi",
        recipe={"model": {"name": "tiny", "digest": "sha256:00"}},
        software="0",
        watermark=None,
    )
    path = copy("midi", suffix=".mid")
    signed = ManifestSigner(keys.manifests, "0").beside(path.read_bytes(), "audio/midi", claim)
    path.with_name(path.name + ".c2pa").write_bytes(signed)
    time.sleep(3)
    found = replace(place.auditor(), keys=keys).audit_file(path)
    assert found.verdict == "failed" and "which has expired" in checks(found)["manifest"].detail
    with pytest.raises(KeysError, match="expired on"):
        marking_spec(place.settings.model_copy(update={"keys": keys.folder}))


def own_keys(place, folder, chain):
    shutil.copytree(place.keys.folder, folder)
    for name, data in (("manifest.key", chain.key), ("manifest.pem", chain.chain), ("root.pem", chain.root)):
        (folder / name).write_bytes(data)
    return read_keys(folder)


def test_a_changed_byte_of_a_manifest_beside_a_file_is_found_even_where_nothing_is_signed(place, assets, copy):
    path = copy("musicxml", suffix=".musicxml")
    signed = place.data(assets[1], "musicxml.c2pa")
    padding = signed.rindex(bytes(64)) + 32
    path.with_name(path.name + ".c2pa").write_bytes(signed[:padding] + b"\x01" + signed[padding + 1 :])
    found = audited(place, path)
    assert found.verdict == "failed" and "was altered" in checks(found)["sidecar"].detail


def test_a_file_of_an_asset_that_is_not_here_is_not_proved(place, assets, copy, databases, tmp_path):
    elsewhere = new_place(databases, tmp_path / "elsewhere")
    try:
        found = replace(elsewhere.auditor(), keys=place.keys).audit_file(copy())
    finally:
        elsewhere.database.close()
    assert found.verdict == "unknown" and "is not in this database" in checks(found)["entry"].detail


ROWS = {
    "prompt": "UPDATE recipes SET prompt = 'fast piano' WHERE id = :id",
    "seed": "UPDATE recipes SET seed = seed + 1 WHERE id = :id",
    "recipe": "UPDATE recipes SET body = body || '{\"seed\": 77}' WHERE id = :id",
    "attributes": 'UPDATE assets SET attributes = attributes || \'{"words": "other"}\' WHERE id = :id',
    "created_at": "UPDATE assets SET created_at = created_at + interval '1 microsecond' WHERE id = :id",
    "worker": "UPDATE assets SET worker = 'somebody' WHERE id = :id",
    "files": "UPDATE asset_files SET name = 'x' WHERE asset_id = :id AND role = 'codes'",
    "stages": "UPDATE stage_executions SET wall_s = wall_s + 1e-9 WHERE asset_id = :id AND ordinal = 0",
    "parents": "INSERT INTO lineage_edges VALUES (:id, 'sha256:' || repeat('e', 64), 'vocals')",
    "duration_s": "UPDATE assets SET duration_s = 7 WHERE id = :id",
    "numeric_profile": 'UPDATE assets SET numeric_profile = \'{"device": "gpu"}\' WHERE id = :id',
}


def test_every_change_of_a_row_a_recipe_an_entry_or_an_object_is_found_and_named(own_place):
    place = own_place
    made = place.make(*range(10, 10 + len(ROWS)))
    for (field, statement), asset in zip(ROWS.items(), made.values(), strict=True):
        place.force(statement, id=asset.id)
        found = place.auditor().audit_asset(asset.id)
        assert found.verdict == "failed" and field in checks(found)["rows"].detail, field
    whole = audit_catalogue(place.auditor(), "study")
    assert checks(whole)["ledger"].ok and checks(whole)["history"].ok and checks(whole)["objects"].ok
    assert checks(whole)["rows"].ok is False

    swapped = place.make(31, 32, 33, 34, 35)
    one, two = swapped[31], swapped[32]
    place.force(
        "UPDATE recipes SET body = (SELECT body FROM recipes WHERE id = :other) WHERE id = :id",
        id=one.id,
        other=two.id,
    )
    found = place.auditor().audit_asset(one.id)
    assert checks(found)["recipe"].ok is False and two.id[:12] in checks(found)["recipe"].detail

    path = place.object_path(swapped[33], "midi")
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[20] ^= 4
    path.write_bytes(bytes(data))
    found = place.auditor().audit_asset(swapped[33].id)
    assert checks(found)["objects"].ok is False and "score.mid was changed" in checks(found)["objects"].detail

    place.force("DELETE FROM ledger_entries WHERE subject = :id", id=swapped[34].id)
    found = place.auditor().audit_asset(swapped[34].id)
    assert found.verdict == "failed" and "no entry" in checks(found)["entry"].detail
    whole = audit_catalogue(place.auditor(), None)
    assert "are missing" in checks(whole)["ledger"].detail


def test_an_entry_rewritten_with_its_hash_by_a_superuser_is_found_by_the_checkpoint_outside(own_place):
    made = own_place.make(1, 2, 3)
    with own_place.database.unit_of_work() as session:
        entry = get_entry(session, 2)
    forged = canonical({**entry.content, "worker": "somebody else"})
    own_place.force(
        "UPDATE ledger_entries SET body = :body, leaf_hash = :hash WHERE index = 2",
        body=forged,
        hash=leaf_hash(forged),
    )
    victim = next(asset for asset in made.values() if asset.id == entry.subject)
    found = own_place.auditor().audit_asset(victim.id)
    assert found.verdict == "failed" and "history was changed" in checks(found)["history"].detail
    whole = audit_catalogue(own_place.auditor(), "study")
    assert whole.verdict == "failed"


def test_a_log_made_anew_and_signed_again_is_found_by_a_checkpoint_that_somebody_kept(own_place, tmp_path):
    own_place.make(1, 2)
    kept = tmp_path / "kept.note"
    kept.write_text(own_place.seal().note)
    shutil.rmtree(own_place.settings.checkpoint_folder)
    shutil.rmtree(own_place.settings.home / "objects" / "records")
    own_place.force("DELETE FROM ledger_entries")
    own_place.force("DELETE FROM ledger_nodes")
    made = own_place.make(3)
    assert own_place.auditor().audit_asset(made[3].id).verdict == "proved"  # nothing here tells
    found = own_place.auditor(handed_in=kept).audit_asset(made[3].id)
    assert found.verdict == "failed" and "is of tutti/" in checks(found)["history"].detail


@pytest.mark.parametrize("column", ["kind", "subject"])
def test_an_entry_filed_under_another_name_is_found(own_place, column):
    own_place.make(1)
    own_place.force(f"UPDATE ledger_entries SET {column} = overlay({column} placing 'x' from 3) WHERE index = 1")
    found = audit_catalogue(own_place.auditor(), None)
    assert "entry 1 was changed: its kind or subject" in checks(found)["ledger"].detail


def test_a_log_with_an_entry_of_every_kind_is_proved(own_place):
    one, two = own_place.make(1, 2).values()
    with own_place.database.unit_of_work() as session:
        run_id = session.execute(text("SELECT id FROM runs")).scalar_one()
        for name in ("ann", "ben"):
            add_listener(session, name, time_zone="UTC", consents=True)
        today = date(2026, 5, 1)
        assert record_playlists(session, [NewPlaylist("ann", today, "{}", clock(session))]) == ["ann"]
        note_pieces_for(session, [PieceFor(one.id, "ben", today, run_id, 6.0, {}, "{}")])
        assert forget_listener(session, "ben").pieces == [one.id]
        withdraw(session, [two.id], "a complaint")
        note_erasure(session, "sha256:" + "f" * 64, "asked for")
    own_place.seal()
    with own_place.database.unit_of_work() as session:
        kinds = {entry.kind for entry in stream_entries(session)}
    assert kinds == {"log", ASSET, PLAYLIST, WITHDRAWAL, ERASURE}
    found = audit_catalogue(own_place.auditor(), None)
    assert checks(found)["ledger"].ok, checks(found)["ledger"].detail
    assert found.verdict == "proved", found.checks


def test_an_old_checkpoint_that_was_changed_is_named(own_place):
    own_place.make(1)
    old = next(own_place.settings.checkpoint_folder.rglob("*.note"))
    own_place.make(2)
    assert checks(audit_catalogue(own_place.auditor(), None))["checkpoints"].ok
    old.chmod(0o644)
    old.write_text(old.read_text().replace("tutti/", "tutty/", 1))
    found = audit_catalogue(own_place.auditor(), None)
    assert found.verdict == "failed" and str(old) in checks(found)["checkpoints"].detail


def test_a_damaged_checkpoint_is_named_with_its_place(own_place):
    made = own_place.make(1)
    path = next(own_place.settings.checkpoint_folder.rglob("*.note"))
    path.chmod(0o644)
    path.write_text(path.read_text().replace("tutti/", "tutty/", 1))
    found = own_place.auditor().audit_asset(made[1].id)
    assert found.verdict == "failed" and str(path) in checks(found)["history"].detail


def test_weights_that_were_changed_are_found(own_place):
    made = own_place.make(1)
    weights = own_place.model.path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    found = own_place.auditor(reproduce=True).audit_asset(made[1].id)
    assert checks(found)["model"].ok is None and "no weights" in checks(found)["model"].detail
    assert checks(found)["reproduced"].ok is None


def test_signed_weights_that_were_changed_are_named(own_place):
    made = own_place.make(1)
    sign_version(own_place.model, own_place.keys.models)
    weights = own_place.model.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    found = own_place.auditor().audit_asset(made[1].id)
    assert found.verdict == "failed" and "model.safetensors" in checks(found)["model"].detail


def test_a_catalogue_is_made_again_and_what_differs_is_named(own_place):
    made = own_place.make(1, 2, 3, 4, 5, 6)
    found = audit_catalogue(own_place.auditor(reproduce=True), "study")
    assert found.verdict == "proved" and "6 assets made again" in checks(found)["reproduced"].detail
    few = audit_catalogue(own_place.auditor(reproduce=True), "study", again=2)
    assert "2 assets made again" in checks(few)["reproduced"].detail
    own_place.force(
        "UPDATE asset_files SET digest = 'sha256:' || repeat('0', 64) WHERE role = 'midi' AND asset_id = :id",
        id=made[3].id,
    )
    found = audit_catalogue(own_place.auditor(reproduce=True), "study")
    assert checks(found)["reproduced"].ok is False and made[3].id[:12] in checks(found)["reproduced"].detail


def test_what_was_made_since_the_last_checkpoint_is_not_proved_yet(own_place, monkeypatch):
    monkeypatch.setattr(own_place, "seal", lambda: None)
    made = own_place.make(1)
    found = own_place.auditor().audit_asset(made[1].id)
    assert found.verdict == "unknown" and checks(found)["inclusion"].ok is None


def test_a_catalogue_that_is_not_there_is_not_proved(place, assets):
    with pytest.raises(EmptyCatalogueError, match="no asset in a catalogue 'studdy'"):
        audit_catalogue(place.auditor(), "studdy")


def test_the_audit_of_everything_holds(place, assets):
    found = audit_catalogue(place.auditor(), None)
    assert found.verdict == "proved", found.checks
