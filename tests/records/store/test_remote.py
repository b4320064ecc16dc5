"""Objects of a store, spoken to like files."""

import errno
import http.server
import json
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from pyarrow import fs

from pipeline import tune
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.records.outputs.results import Results
from pipeline.records.store import remote
from pipeline.records.store.remote import RemotePath, location


def test_a_path_is_none_of_a_store(tmp_path):
    assert location(str(tmp_path)) == tmp_path
    assert location("runs") == Path("runs")


def test_an_object_is_written_read_and_removed(bucket):
    path = location(f"{bucket}/sweeps") / "a run" / "history.jsonl"
    with pytest.raises(FileNotFoundError):
        path.read_bytes()
    assert path.written() is None
    path.write_bytes(b"one")
    path.write_bytes(b"two")
    assert path.read_bytes() == b"two"
    assert abs(path.written() - time.time()) < 30
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.unlink()


def test_a_folder_is_what_objects_have_in_common(bucket):
    folder = location(f"{bucket}/runs")
    assert list(folder.rglob()) == []
    for name in ("a/best.npz", "a/last.npz", "b/best.npz"):
        (folder / name).write_bytes(b"weights")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("best.npz")) == [
        "a/best.npz",
        "b/best.npz",
    ]
    for path in folder.rglob():
        path.unlink()
    assert list(folder.rglob()) == []  # nothing that a store keeps of it counts


def test_what_is_called_otherwise_than_anything_of_ours_is_not_seen(store, bucket):
    (location(bucket) / "run/history.jsonl").write_bytes(b"")
    name = bucket.removeprefix("s3://")
    for key in ("run/..%2F..%2Fpasswd", "run/%3Fkey"):
        requests.put(f"{store[1]}/{name}/{key}", "1")
    assert [path.name for path in location(bucket).rglob()] == ["history.jsonl"]


@pytest.mark.parametrize(
    "address", ["s3://", "s3:///runs", "http://bucket/runs", "s3://bucket/../runs", "s3://b//runs"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(
        RequestError, match="must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; got "
    ):
        Experiment(dataset="digits", storage=address)


@pytest.mark.parametrize(
    "read", [Results, lambda address: Experiment(dataset="digits", storage=address)]
)
@pytest.mark.parametrize(
    "address",
    [
        "s3://key:hidden@bucket/runs",
        "s3://bucket/runs?secret_key=hidden",
        "https://key:hidden@host/runs",
        "s3://key:hidden/runs",
    ],
)
def test_an_address_that_holds_credentials_is_refused_without_saying_them_again(read, address):
    with pytest.raises(RequestError, match="must hold no credentials and no options") as caught:
        read(address)
    error = caught.value
    while error is not None:
        assert "hidden" not in str(error)
        error = error.__cause__


def test_a_store_of_google_takes_the_same_addresses():
    assert Experiment(dataset="digits", storage="gs://bucket/runs").storage == "gs://bucket/runs"
    assert str(location("gs://bucket/runs/") / "mine") == "gs://bucket/runs/mine"
    assert type(location("gs://bucket")._store).__name__ == "GcsFileSystem"


def test_what_a_store_refuses_is_said_in_few_words(store, bucket):
    nowhere = RemotePath("s3://there-is-no-such-bucket/runs/x")
    with pytest.raises(
        OSError, match="NO_SUCH_BUCKET: The specified bucket does not exist"
    ) as caught:
        nowhere.write_bytes(b"")
    assert caught.value.errno == errno.EIO and caught.value.filename == str(nowhere)
    # from now on the key must be one that the server knows
    requests.post(f"{store[1]}/moto-api/reset-auth", "0")
    try:
        with pytest.raises(
            OSError,
            match="INVALID_ACCESS_KEY_ID: The AWS Access Key Id you provided does not exist",
        ):
            location(f"{bucket}/x").write_bytes(b"")
        with pytest.raises(
            RequestError, match="must be in an object store that can be read and written; "
        ):
            Results(f"{bucket}/mine")
    finally:
        requests.post(f"{store[1]}/moto-api/reset-auth", "inf")


@pytest.fixture
def google():
    """Google's store where each request is answered by the code that is put into what this
    yields."""

    class Answer(http.server.BaseHTTPRequestHandler):
        code = 0

        def do_GET(self):
            said = {
                "error": {
                    "message": "Not so.",
                    "errors": [{"domain": "global", "reason": "invalid"}],
                }
            }
            data = json.dumps(said).encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(self.code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Answer, f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "number", "said"),
    [
        (400, errno.EIO, "INVALID_ARGUMENT: Not so."),
        (403, errno.EACCES, "PERMISSION_DENIED: Not so."),
        (404, errno.ENOENT, "NOT_FOUND: Not so."),
        (503, errno.EIO, "UNAVAILABLE: Not so."),
    ],
)
def test_what_googles_store_refuses_is_said_in_few_words_too(
    google, code, number, said, monkeypatch
):
    answer, endpoint = google
    answer.code = code
    limit = timedelta(seconds=0.5)
    store = fs.GcsFileSystem(
        anonymous=True, endpoint_override=endpoint, scheme="http", retry_time_limit=limit
    )
    monkeypatch.setattr(remote, "_store", lambda scheme, bucket: store)
    path = RemotePath("gs://bucket/runs/x")
    for use in (path.read_bytes, lambda: path.write_bytes(b"")):
        with pytest.raises(OSError) as caught:
            use()
        assert (caught.value.errno, caught.value.strerror, caught.value.filename) == (
            number,
            said,
            str(path),
        )


def test_a_search_cannot_start_from_a_store():
    line = (
        "--start-from must be a JSON file or the directory of a run on a file system; what is in "
        "an object store must"
    )
    with pytest.raises(RequestError, match=line) as caught:
        Experiment(dataset="digits", start_from="s3://key:hidden/runs/mine")
    assert "hidden" not in str(caught.value)


def test_population_based_training_needs_a_file_system():
    line = "scheduler pbt must have its storage on a file system; got 's3://bucket/runs"
    with pytest.raises(RequestError, match=line):
        Experiment(dataset="digits", scheduler="pbt", storage="s3://bucket/runs")
    with pytest.raises(RequestError, match=f"{line}/mine'"):  # that somebody has moved there
        tune(Experiment(dataset="digits", scheduler="pbt"), resume="s3://bucket/runs/mine")
