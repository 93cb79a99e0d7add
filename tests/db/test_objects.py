"""Object stores: a folder and a real S3 server."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest

from db.errors import (
    CorruptObjectError,
    MissingBucketError,
    MissingObjectError,
    ObjectCredentialsError,
    ObjectStoreError,
    ObjectStoreUnavailableError,
)
from db.objects import LocalObjects, S3Access, StoredObject, digest_of, open_objects
from db.s3_objects import S3Objects

ABSENT = "sha256:" + "0" * 64


def files_below(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(300_000)])
def test_what_is_put_is_got_back_under_the_digest_of_its_content(any_objects, data):
    any_objects.check()
    digest = any_objects.put(data)
    assert digest == digest_of(data) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert any_objects.exists(digest)
    assert any_objects.get(digest) == data


def test_a_group_is_stored_in_order_with_its_repeats(any_objects):
    items = [b"a", b"b", b"a", b"", b"c" * 70_000]
    digests = any_objects.put_many(items)
    assert digests == [digest_of(item) for item in items]
    assert [any_objects.get(digest) for digest in digests] == items
    assert any_objects.put_many(items) == digests
    assert any_objects.put_many([]) == []


def test_an_object_that_is_not_there_is_said_so(any_objects):
    any_objects.check()
    assert not any_objects.exists(ABSENT)
    with pytest.raises(MissingObjectError, match=ABSENT.removeprefix("sha256:")):
        any_objects.get(ABSENT)


def test_what_is_stored_can_be_listed_and_removed(any_objects):
    any_objects.check()
    assert list(any_objects.stored()) == []
    digests = any_objects.put_many([b"one", b"three"])
    assert set(any_objects.stored()) == {StoredObject(digests[0], 3), StoredObject(digests[1], 5)}
    for _ in range(2):
        any_objects.remove(digests[0])
    assert [each.digest for each in any_objects.stored()] == digests[1:]


def test_what_is_no_digest_is_never_made_into_a_path(any_objects):
    for text in ("sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:00", ""):
        with pytest.raises(ValueError, match="no digest"):
            any_objects.exists(text)


def test_many_writers_of_the_same_and_other_objects_do_not_disturb_each_other(any_objects):
    any_objects.check()
    items = [bytes([number]) * 5000 for number in range(24)]
    threads = [threading.Thread(target=any_objects.put_many, args=(items,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [any_objects.get(digest_of(item)) for item in items] == items


# A folder


def test_an_object_in_a_folder_lies_where_it_is_located_and_nothing_else_does(tmp_path):
    objects = open_objects(tmp_path / "objects")
    digest = objects.put(b"data")
    assert Path(objects.locate(digest)).read_bytes() == b"data"
    assert files_below(tmp_path) == [Path(objects.locate(digest))]


@pytest.mark.parametrize("damage", [b"dat", b"", b"dato", b"data and more"])
def test_a_damaged_object_is_never_given_out_and_a_put_mends_one_of_another_size(tmp_path, damage):
    objects = LocalObjects(tmp_path)
    digest = objects.put(b"data")
    Path(objects.locate(digest)).write_bytes(damage)
    with pytest.raises(CorruptObjectError, match="another digest"):
        objects.get(digest)
    if len(damage) != 4:
        objects.put(b"data")
        assert objects.get(digest) == b"data"


def test_a_writer_killed_between_writing_and_renaming_leaves_no_object_and_the_next_one_stores_it(tmp_path):
    code = """
import os, pathlib, sys
from db.objects import LocalObjects
pathlib.Path.rename = lambda self, target: os.kill(os.getpid(), 9)
LocalObjects(pathlib.Path(sys.argv[1])).put_many([b"one", b"two"])
"""
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True)
    assert killed.returncode == -9, killed.stderr
    objects = LocalObjects(tmp_path)
    left = files_below(tmp_path)
    assert len(left) == 2
    assert {path.parent.name for path in left} == {"tmp"}
    assert not objects.exists(digest_of(b"one"))
    assert objects.get(objects.put(b"one")) == b"one"
    objects.check()
    assert set(left) < set(files_below(tmp_path)), "they may be another writer's, now"
    for path in left:
        os.utime(path, (time.time() - 7200,) * 2)
    objects.check()
    assert files_below(tmp_path) == [Path(objects.locate(digest_of(b"one")))]


def test_a_put_forces_the_file_and_then_its_folder_to_the_disk(tmp_path):
    objects = LocalObjects(tmp_path)
    objects.check()
    trace = tmp_path / "trace"
    code = (
        "import sys, pathlib; from db.objects import LocalObjects; LocalObjects(pathlib.Path(sys.argv[1])).put(b'z')"
    )
    steps = _system_calls(trace, [sys.executable, "-c", code, str(tmp_path)])
    if steps is None:
        pytest.skip("strace is not installed")
    renamed = next(at for at, call in enumerate(steps) if call.startswith("rename"))
    forced = [at for at, call in enumerate(steps) if call.startswith("fsync")]
    assert min(forced) < renamed < max(forced)


def _system_calls(trace, command):
    try:
        subprocess.run(
            ["strace", "-f", "-qq", "-e", "trace=fsync,rename,renameat,renameat2", "-o", trace, *command], check=True
        )
    except FileNotFoundError:
        return None
    return [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]


@pytest.mark.parametrize("in_the_way", ["file", "below a file", "device"])
def test_a_folder_that_cannot_be_written_is_said_so(tmp_path, in_the_way):
    (tmp_path / "file").write_text("here")
    place = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "device": Path("/proc/objects")}
    objects = LocalObjects(place[in_the_way])
    with pytest.raises(ObjectStoreError, match="cannot be used"):
        objects.check()
    with pytest.raises(ObjectStoreError, match="cannot be used"):
        objects.put(b"data")


def test_a_full_disk_leaves_no_half_object(tmp_path):
    code = """
import pathlib, resource, signal, sys
from db.errors import ObjectStoreError
from db.objects import LocalObjects, digest_of
objects = LocalObjects(pathlib.Path(sys.argv[1]))
objects.check()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the next larger write fails, as on a full disk
try:
    objects.put_many([b"small", b"x" * 5000])
except ObjectStoreError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "cannot be used" in run.stdout
    for path in files_below(tmp_path):
        assert path.parent.name != "tmp"
        assert digest_of(path.read_bytes()).endswith(path.name)


# S3


def test_an_object_on_s3_lies_where_it_is_located(s3, bucket):
    objects = open_objects(f"s3://{bucket}/some/prefix", s3.access)
    digest = objects.put(b"data")
    assert objects.locate(digest) == f"s3://{bucket}/some/prefix/sha256/{digest[7:9]}/{digest[7:]}"
    assert [one.object_name for one in s3.client().list_objects(bucket, recursive=True)] == [
        f"some/prefix/sha256/{digest[7:9]}/{digest[7:]}"
    ]


def test_a_damaged_object_on_s3_is_never_given_out_and_a_put_mends_it(s3, bucket):
    objects = S3Objects(bucket, s3.access)
    digest = objects.put(b"data")
    s3.client().put_object(bucket, objects.locate(digest).split("/", 3)[3], BytesIO(b"dat"), 3)
    with pytest.raises(CorruptObjectError):
        objects.get(digest)
    objects.put(b"data")
    assert objects.get(digest) == b"data"


def test_an_object_that_is_there_is_not_sent_again(s3, bucket):
    objects = S3Objects(bucket, s3.access)
    digest = objects.put(b"data")
    name = objects.locate(digest).split("/", 3)[3]
    before = s3.client().stat_object(bucket, name).last_modified
    time.sleep(1.1)
    objects.put(b"data")
    assert s3.client().stat_object(bucket, name).last_modified == before


@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_wrong_credentials_are_said_so(s3, bucket, wrong):
    keys = {"access_key": s3.access.access_key, "secret_key": s3.access.secret_key} | {wrong: "wrongwrong"}
    objects = S3Objects(bucket, S3Access(s3.access.endpoint, **keys))
    for step in (objects.check, lambda: objects.put(b"data"), lambda: objects.get(ABSENT)):
        with pytest.raises(ObjectCredentialsError, match="refuses the credentials"):
            step()


@pytest.mark.parametrize("access", [S3Access("http://127.0.0.1:1"), S3Access("http://127.0.0.1:1", "key")])
def test_missing_credentials_are_said_so_before_anything_is_sent(access):
    with pytest.raises(ObjectCredentialsError, match="needs an access key"):
        open_objects("s3://bucket", access)


def test_a_missing_bucket_is_said_so(s3):
    objects = S3Objects("tutti-no-such-bucket", s3.access)
    for step in (objects.check, lambda: objects.get(ABSENT)):
        with pytest.raises(MissingBucketError, match="tutti-no-such-bucket"):
            step()
    assert not s3.client().bucket_exists("tutti-no-such-bucket")


def test_an_endpoint_where_nobody_listens_is_said_so_within_seconds():
    objects = S3Objects("bucket", S3Access("http://127.0.0.1:1", "key", "secret"))
    began = time.monotonic()
    for step in (objects.check, lambda: objects.put(b"data"), lambda: objects.exists(ABSENT)):
        with pytest.raises(ObjectStoreUnavailableError, match=r"127\.0\.0\.1:1"):
            step()
    assert time.monotonic() - began < 10


def test_an_endpoint_that_takes_no_connection_is_said_so_within_seconds():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # fills the queue: the next connection is left without an answer
            one.setblocking(False)
            one.connect_ex(address)
        objects = S3Objects("bucket", S3Access(f"http://127.0.0.1:{address[1]}", "key", "secret"))
        began = time.monotonic()
        with pytest.raises(ObjectStoreUnavailableError):
            objects.check()
        assert time.monotonic() - began < 10
        for one in waiting:
            one.close()


def test_a_server_that_does_not_speak_s3_is_said_so():
    web = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = web.stdout.readline().split(" port ")[1].split()[0]
        objects = S3Objects("bucket", S3Access(f"http://127.0.0.1:{port}", "key", "secret"))
        with pytest.raises(ObjectStoreError, match="does not speak S3"):
            objects.check()
    finally:
        web.kill()
        web.wait()


@pytest.mark.parametrize("spec", ["ftp://host/x", "s3://", "s3://UPPER", "s3://x", "http://host:9000/bucket"])
def test_a_place_that_is_neither_folder_nor_bucket_is_refused(spec):
    with pytest.raises(ObjectStoreError, match="objects go into"):
        open_objects(spec, S3Access("http://127.0.0.1:1", "key", "secret"))


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:9000", "ftp://host", "http://", "http://host/path", "http://host:port"]
)
def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(ObjectStoreError, match="no S3 endpoint"):
        S3Objects("bucket", S3Access(endpoint, "key", "secret"))


def test_a_secret_key_is_never_shown():
    assert "hidden" not in repr(S3Access("http://h", "key", "hidden"))
