"""The ledger on a real PostgreSQL: appending, proving, refusing changes, and finding those that were forced."""

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.asset_entries import asset_entry, facts_of_recorded
from db.assets import lineage, record_assets
from db.canonical import canonical
from db.checkpoints import check_against, newest_checkpoint, sign_checkpoint
from db.errors import CheckpointError, LedgerError
from db.ledger import (
    NewEntry,
    TreeBuilder,
    append,
    consistency_proof,
    entries_about,
    get_entry,
    inclusion_proof,
    log_size,
    stored_nodes,
    stream_entries,
    tree_head,
)
from db.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from db.records import FolderRecords
from db.signed_notes import NoteSigner, NoteVerifier, read_checkpoint, write_checkpoint
from db.work import claim


def entries(first, count):
    def entry(number):
        subject = f"subject-{number}"
        return NewEntry("test", subject, {"asset": subject, "number": number, "words": "ünder"})

    return [entry(number) for number in range(first, first + count)]


def fill(database, *counts):
    for count in counts:
        with database.unit_of_work() as session:
            append(session, entries(log_size(session), count))


def force(database, statement):
    """Change rows as a superuser can, whom triggers do not stop."""
    with database.unit_of_work() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(statement))


def rebuilt(database):
    tree = TreeBuilder()
    with database.unit_of_work() as session:
        for entry in stream_entries(session):
            tree.add(leaf_hash(entry.body))
        return tree, stored_nodes(session)


@pytest.fixture
def signer():
    return NoteSigner("tutti.test", Ed25519PrivateKey.generate())


@pytest.fixture
def places(any_objects, tmp_path):
    return [any_objects.records, FolderRecords(tmp_path / "outside")]


def test_entries_are_numbered_from_one_behind_the_one_that_names_the_log(database):
    with database.unit_of_work() as session:
        assert tree_head(session) is None
        assert append(session, entries(0, 3)) == range(1, 4)
        assert append(session, []) == range(0)
        assert append(session, entries(3, 1)) == range(4, 5)
        assert get_entry(session, 2).content["number"] == 1
        assert [entry.index for entry in entries_about(session, "subject-3")] == [4]
        head = tree_head(session)
        assert head.origin.startswith("tutti/") and head.size == 5
        assert head.root == root_of([leaf_hash(entry.body) for entry in stream_entries(session)])


def test_an_entry_that_does_not_name_its_subject_is_not_appended(database):
    with database.unit_of_work() as session:
        with pytest.raises(AssertionError, match="names no subject-7"):
            append(session, [NewEntry("test", "subject-7", {"number": 7})])
        assert log_size(session) == 0


def test_however_the_log_grew_its_hashes_are_those_of_its_entries(database):
    fill(database, 1, 2, 252, 1, 1, 700, 3, 1300, 40)
    tree, nodes = rebuilt(database)
    assert nodes == tree.nodes and {level for level, _ in nodes} == {8, 9, 10, 11}
    with database.unit_of_work() as session:
        head = tree_head(session)
        assert (head.size, head.root) == (tree.size, tree.root())
        for index in (0, 1, 255, 256, 1023, 1999, head.size - 1):
            proof = inclusion_proof(session, index, head.size)
            assert verify_inclusion(get_entry(session, index).leaf_hash, index, head.size, proof, head.root)
        for old in (1, 2, 256, 257, 1000, 1024, head.size):
            then = tree_head(session, old)
            proof = consistency_proof(session, old, head.size)
            assert verify_consistency(old, head.size, then.root, head.root, proof)


def test_writers_at_the_same_time_leave_no_gap(database):
    def write(number):
        for round_ in range(12):
            with database.unit_of_work() as session:
                append(session, entries(1000 * number + 30 * round_, 30))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tree, nodes = rebuilt(database)
    assert tree.size == 1 + 6 * 12 * 30 and nodes == tree.nodes
    with database.unit_of_work() as session:
        assert tree_head(session).root == tree.root()


def test_what_is_rolled_back_leaves_no_entry(database):
    fill(database, 300)
    with pytest.raises(ZeroDivisionError), database.unit_of_work() as session:
        append(session, entries(300, 600))
        raise ZeroDivisionError
    fill(database, 1)
    tree, nodes = rebuilt(database)
    assert tree.size == 302 and nodes == tree.nodes


@pytest.mark.parametrize("table", ["ledger_entries", "ledger_nodes"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET {} = 7 WHERE false"])
def test_the_database_refuses_to_change_what_was_entered(database, table, change):
    key = "index" if table == "ledger_entries" else "level"
    with pytest.raises(DBAPIError, match="append-only"), database.unit_of_work() as session:
        session.execute(text(change.format(table, key)))


def test_an_assets_entry_is_made_with_its_rows_and_can_be_made_again_from_them(database, plant, vocals):
    run = plant.plan(1, 2)
    with database.unit_of_work() as session:
        claims = claim(session, run, "w", 9, 60.0)
        odd = {"big": 2**53, "huge": 1e22, "tiny": 1e-9, "whole": 20.0, "words": 'ü"\\\n'}
        made = [plant.finished(one, parents=(vocals,), attributes=odd) for one in claims]
        record_assets(session, plant.maker("w"), made)
    with database.unit_of_work() as session:
        for one in claims:
            [entry] = entries_about(session, one.recipe_id)
            again = asset_entry(facts_of_recorded(lineage(session, one.recipe_id)))
            assert canonical({"schema": "tutti.ledger/1", "type": "asset", **again.body}) == entry.body
            assert ["vocals", vocals.digest] in entry.content["parents"]
            assert "prompt" not in entry.body.decode()


def test_nothing_is_entered_for_an_asset_that_was_recorded_before(database, plant):
    run = plant.plan(1)
    with database.unit_of_work() as session:
        claims = claim(session, run, "w", 9, 60.0)
    for _ in range(2):
        with database.unit_of_work() as session:
            record_assets(session, plant.maker("w"), [plant.finished(one) for one in claims])
    with database.unit_of_work() as session:
        assert log_size(session) == 2


def test_a_verifier_key_and_a_checkpoint_read_as_they_were_written(database, signer):
    fill(database, 5)
    with database.unit_of_work() as session:
        head = tree_head(session)
    note = write_checkpoint(head, signer)
    verifier = NoteVerifier.parse(str(signer.verifier))
    assert verifier == signer.verifier and read_checkpoint(note, verifier) == head
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(CheckpointError):
            read_checkpoint(changed, verifier)
    stranger = NoteSigner(signer.name, Ed25519PrivateKey.generate()).verifier
    with pytest.raises(CheckpointError, match="not signed by"):
        read_checkpoint(note, stranger)
    with pytest.raises(CheckpointError, match="damaged"):
        NoteVerifier.parse(str(verifier).replace("+", "x+", 1))


def test_the_checkpoint_of_the_c2sp_example_format_is_kept_to(signer):
    """The signed text is origin, size and root in base64, each on a line; then a blank line and the signatures."""
    from db.ledger import TreeHead

    note = write_checkpoint(TreeHead("example.com/log", 0, root_of([])), signer)
    assert note.startswith("example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 tutti.test ")


def test_a_checkpoint_is_kept_in_every_place_and_the_newest_is_found(database, signer, places):
    for count in (3, 400):
        fill(database, count)
        with database.unit_of_work() as session:
            signed = sign_checkpoint(session, signer, places)
    assert signed.head.size == 404
    for place in places:
        found = newest_checkpoint(signed.head.origin, signer.verifier, [place])
        assert found.head == signed.head and len(place.names("checkpoints")) == 2
    with database.unit_of_work() as session:
        assert sign_checkpoint(session, signer, places).head == signed.head  # nothing new: nothing is written
    assert len(places[1].names("checkpoints")) == 2


def test_a_history_rewritten_after_a_checkpoint_is_found_and_not_signed_again(database, signer, tmp_path):
    places = [FolderRecords(tmp_path)]
    fill(database, 20)
    with database.unit_of_work() as session:
        kept = sign_checkpoint(session, signer, places)
    forged = canonical({"schema": "tutti.ledger/1", "type": "test", "number": 999})
    force(
        database,
        f"UPDATE ledger_entries SET body = '\\x{forged.hex()}', leaf_hash = '\\x{leaf_hash(forged).hex()}' "
        "WHERE index = 7",
    )
    fill(database, 3)
    with database.unit_of_work() as session:
        with pytest.raises(CheckpointError, match="history was changed"):
            check_against(session, kept)
        with pytest.raises(CheckpointError, match="history was changed"):
            sign_checkpoint(session, signer, places)


def test_entries_cut_off_after_a_checkpoint_are_missed(database, signer, tmp_path):
    fill(database, 20)
    with database.unit_of_work() as session:
        kept = sign_checkpoint(session, signer, [FolderRecords(tmp_path)])
    force(database, "DELETE FROM ledger_entries WHERE index > 15")
    with database.unit_of_work() as session, pytest.raises(CheckpointError, match="some were removed"):
        check_against(session, kept)


def test_a_stored_hash_that_is_gone_is_told(database):
    fill(database, 600)
    force(database, "DELETE FROM ledger_nodes WHERE level = 9")
    with database.unit_of_work() as session, pytest.raises(LedgerError, match="missing"):
        tree_head(session)


def test_a_record_is_never_written_over(any_objects):
    any_objects.records.put("checkpoints/a/1.note", b"first")
    any_objects.records.put("checkpoints/a/1.note", b"second")
    assert any_objects.records.get("checkpoints/a/1.note") == b"first"
    assert any_objects.records.names("checkpoints/a") == ["checkpoints/a/1.note"]
    assert any_objects.records.names("checkpoints/b") == []
