"""Lineages for others: a bundle proves without a database, PROV-JSON is read by its library, the picture is SVG."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.etree import ElementTree

import pytest
from prov.model import ProvActivity, ProvDocument, ProvEntity
from sounding import checks

from flows.keys import read_verifier
from flows.provenance.audits import audit_bundle
from flows.provenance.evidence import BundleError, read_bundle
from flows.provenance.exports import BackendError, export_lineage, send_lineage


@pytest.fixture
def written(place, assets, tmp_path):
    def write(form):
        path = tmp_path / f"lineage.{form}"
        assert export_lineage(place.auditor(), assets[1].id[:12], form, path) == assets[1].id
        return path

    return write


@pytest.fixture
def prove(place, written, tmp_path):
    """Audit bytes with the bundle, as somebody does who has the log's public key and no database."""

    def prove(data, change=lambda bundle: None, suffix=".flac", verifier=True):
        path = written("bundle")
        bundle = json.loads(path.read_text())
        change(bundle)
        path.write_text(json.dumps(bundle))
        subject = tmp_path / f"subject{suffix}"
        subject.write_bytes(data)
        key = read_verifier(place.keys.folder / "log.pub") if verifier else None
        return audit_bundle(subject, read_bundle(path), key, place.keys, [])

    return prove


def test_a_bundle_proves_a_file_without_a_database(place, assets, prove):
    found = prove(place.data(assets[1], "preview"))
    assert found.verdict == "proved", found.checks
    assert found.recipe["prompt"] == "slow piano"
    assert "nothing (CC0-1.0)" in checks(found)["training data"].detail


def test_a_bundle_proves_nothing_without_the_logs_key_or_for_another_file(place, assets, prove):
    assert prove(place.data(assets[1], "midi"), suffix=".mid", verifier=False).verdict == "unknown"
    assert prove(place.data(assets[2], "midi"), suffix=".mid").verdict == "unknown"
    assert prove(place.data(assets[2], "preview")).verdict == "failed"  # its manifest names the other asset


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("recipe", lambda bundle: bundle["recipe"].update(seed=2)),
        (
            "inclusion",
            lambda bundle: bundle.update(entry=bundle["entry"].replace('"kind":"score"', '"kind":"scare"')),
        ),
        ("inclusion", lambda bundle: bundle.update(index=bundle["index"] + 1)),
        ("inclusion", lambda bundle: bundle["proof"].reverse()),
        ("lineage", lambda bundle: bundle["stages"][0].update(wall_s=9)),
        ("lineage", lambda bundle: bundle["numeric_profile"].update(device="abacus")),
        ("checkpoint", lambda bundle: bundle.update(checkpoint=bundle["checkpoint"].replace("tutti/", "tutty/", 1))),
    ],
)
def test_every_change_of_a_bundle_is_found_and_named(place, assets, prove, field, change):
    found = prove(place.data(assets[1], "midi"), change, suffix=".mid")
    assert found.verdict == "failed" and checks(found)[field].ok is False


def test_what_is_no_bundle_is_refused(tmp_path):
    path = tmp_path / "bundle.json"
    with pytest.raises(BundleError, match="No such file"):
        read_bundle(path)
    for text in ("{}", "words", '{"schema": "tutti.proof/2"}'):
        path.write_text(text)
        with pytest.raises(BundleError, match="is no proof bundle"):
            read_bundle(path)


def test_prov_json_is_read_by_the_library_of_the_standard(assets, written):
    document = ProvDocument.deserialize(source=str(written("prov")), format="json")
    labels = {record.label for record in document.get_records(ProvActivity)}
    assert labels == {"compose", "mark"}
    entities = {str(record.identifier) for record in document.get_records(ProvEntity)}
    assert f"tutti:asset/{assets[1].id}" in entities
    assert {f"tutti:content/{file.digest}" for file in assets[1].files} <= entities


def test_openlineage_events_are_sent_to_an_address_and_a_refusal_is_told(place, assets):
    taken = []

    class Backend(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201 if self.path == "/api/v1/lineage" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1/"
        assert send_lineage(place.auditor(), assets[1].id[:12], f"{url}lineage") == assets[1].id
        assert [event["job"]["name"] for event in taken] == ["score.compose", "score.mark"]
        with pytest.raises(BackendError, match="404"):
            send_lineage(place.auditor(), assets[1].id, f"{url}elsewhere")
        server.shutdown()
    with pytest.raises(BackendError, match="does not take"):
        send_lineage(place.auditor(), assets[1].id, url)


def test_openlineage_events_are_one_a_stage_with_what_the_specification_requires(written):
    events = [json.loads(line) for line in written("openlineage").read_text().splitlines()]
    assert [event["job"]["name"] for event in events] == ["score.compose", "score.mark"]
    for event in events:
        assert {"eventTime", "producer", "schemaURL", "run", "job", "eventType"} <= set(event)
        assert len(event["run"]["runId"]) == 36


def test_the_picture_names_every_stage_and_file(assets, written):
    words = " ".join(ElementTree.fromstring(written("svg").read_text()).itertext())
    assert all(word in words for word in ("recipe", "model", "compose", "mark", "preview", "midi", "slow piano"))
