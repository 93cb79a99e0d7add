"""Keys: made for development, brought by path, and refused where they cannot be used."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from actors.marking.manifests import Claim, ManifestError, ManifestSigner, SigningIdentity, read_manifest
from flows.certificates import development_chain
from flows.keys import DEVELOPMENT_WATERMARK_KEY, KeysError, load_keys, make_keys, read_keys, read_verifier
from flows.settings import Settings


@pytest.fixture
def made(tmp_path):
    make_keys(tmp_path / "keys", development=False)
    return tmp_path / "keys"


def test_a_home_gets_keys_when_they_are_first_wanted(tmp_path):
    settings = Settings(home=tmp_path / "home")
    first = load_keys(settings)
    assert first.folder == tmp_path / "home" / "keys" and first.watermark_is_everybodys
    assert load_keys(settings).log.verifier == first.log.verifier
    assert all((first.folder / name).stat().st_mode & 0o777 == 0o600 for name in ("log.key", "watermark.key"))


def test_keys_of_ones_own_have_a_watermark_that_nobody_else_can_set(made):
    keys = read_keys(made)
    assert keys.watermark != DEVELOPMENT_WATERMARK_KEY and len(keys.watermark) == 32
    assert read_verifier(made / "log.pub") == keys.log.verifier
    assert keys.certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


def test_a_named_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(KeysError, match="tutti keys --make"):
        load_keys(Settings(home=tmp_path, keys=tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_keys_are_never_written_over(made):
    with pytest.raises(KeysError, match="never written over"):
        make_keys(made, development=True)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("log.pub", "tutti+00000000+AAAA", "verifier key"),
        ("log.key", "no key", "log.key cannot be used"),
        ("models.key", "no key", "models.key cannot be used"),
        ("watermark.key", "abcd", "32 bytes"),
        ("revoked.txt", "twelve", "serial numbers"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(made, name, content, told):
    (made / name).write_text(content)
    with pytest.raises(KeysError, match=told):
        read_keys(made)


def test_a_private_key_that_others_can_read_is_refused(made):
    (made / "log.key").chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        read_keys(made)


def test_a_certificate_out_of_date_is_named_by_the_reader_and_signs_no_more():
    short = development_chain(valid=timedelta(seconds=2))
    signer = ManifestSigner(SigningIdentity(chain=short.chain, key=short.key, root=short.root), "0")
    recipe = {"model": {"name": "m", "digest": "d"}}
    claim = Claim(title="s.mid", asset="a", role="midi", recipe=recipe, software="0", watermark=None)
    manifest = signer.beside(b"MThd", "audio/midi", claim)
    assert read_manifest(b"MThd", "audio/midi", short.root, manifest).state == "Trusted"
    time.sleep(3)
    reading = read_manifest(b"MThd", "audio/midi", short.root, manifest)
    assert reading.state != "Trusted" and "expired" in " ".join(reading.failures)
    with pytest.raises(ManifestError, match="not valid at time of signing"):
        signer.beside(b"MThd", "audio/midi", claim)
