"""A place in an object store, spoken to like a path of a file system as far as a run needs that.

An object is written whole or not at all; none is appended to or renamed, and a folder is the
beginning of a name. The stores are pyarrow's, which Ray Tune brings along. Who may use them is
found where their own tools find it: in the environment, in files of the user's home, in the
machine's role. An address never says it.
"""

import contextlib
import errno
import functools
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError, one_line, quoted

_ADDRESS = re.compile(r"(s3|gs)://([\w.\-]+)((?:/(?!\.{1,2}(?:/|$))[^/?#@%\\*]+)*)/?")

_AWS = re.compile(r"AWS Error (\w+) during \w+ operation: (.*?)(?: \(Request ID.*)?$", re.DOTALL)
_GOOGLE = re.compile(
    r"google::cloud::Status\((\w+): (?:[^{]*?, with a last message of )?(.*?)(?: "
    r"error_info=.*|\)(?:\. Detail.*)?)$",
    re.DOTALL,
)

# To connect, without a byte, and until Google's client begins no other try: how long one takes it
# does not bound. A request is made twice; whoever writes records tries again after that.
CONNECT_S, SILENT_S, TRIES_S = 5.0, 10.0, 6.0


def location(given: "str | Path | RemotePath") -> "Path | RemotePath":
    """Where something is: a path, or an address in an object store.

    Raises:
        RequestError: it is an address, and not one of such a store.
    """
    if isinstance(given, str) and "://" in given:
        return RemotePath(given)
    return given if isinstance(given, RemotePath) else Path(given)


def check_address(text: str, what: str) -> None:
    """Refuse what is no address in an object store, without repeating what may be a secret.

    Raises:
        RequestError: `what` must be something else.
    """
    bucket = text.partition("://")[2].partition("/")[0]
    if "@" in text or "?" in text or ":" in bucket:
        raise RequestError(
            f"{what} must hold no credentials and no options: they are taken from the environment "
            "(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …) or from where the store's own tools find "
            "them."
        )
    if not _ADDRESS.fullmatch(text):
        raise RequestError(
            f"{what} must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; got "
            f"{quoted(text)}."
        )


def unreachable(place: "RemotePath", error: OSError) -> RequestError:
    """What to say of a store that fails before there is anything to lose."""
    return RequestError(
        f"{place} must be in an object store that can be read and written; "
        f"{error.strerror or error}. Credentials are "
        "taken from the environment (AWS_ACCESS_KEY_ID, …) or from where the store's own tools "
        "find them."
    )


class RemotePath:
    """An object, or a folder of such; what it does raises OSError where the store fails."""

    def __init__(self, address: str) -> None:
        check_address(address, "An address in an object store")
        self._address = address.rstrip("/")
        self._scheme, _, self._key = self._address.partition("://")

    def __str__(self) -> str:
        return self._address

    def __repr__(self) -> str:
        return f"RemotePath({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._address)

    def __truediv__(self, name: str | Path) -> "RemotePath":
        return RemotePath(f"{self._address}/{name}")

    @property
    def name(self) -> str:
        """Its last part."""
        return self._address.rpartition("/")[2]

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in."""
        return RemotePath(self._address.rpartition("/")[0])

    def relative_to(self, folder: "RemotePath") -> Path:
        """Its name within a folder."""
        return Path(self._address).relative_to(str(folder))

    def written(self) -> float | None:
        """When it was written, by the store's clock; None where there is no such object."""
        with self._plainly():
            info = self._store.get_file_info(self._key)
        return info.mtime.timestamp() if info.is_file else None

    def read_bytes(self) -> bytes:
        """All that it holds."""
        with self._plainly(), self._store.open_input_stream(self._key) as file:
            return bytes(file.read())

    def write_bytes(self, data: bytes) -> None:
        """Write it, whole or not at all."""
        with self._plainly(), self._store.open_output_stream(self._key) as file:
            file.write(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove it."""
        try:
            with self._plainly():
                self._store.delete_file(self._key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rglob(self, name: str | None = None) -> Iterator["RemotePath"]:
        """Each object below it, or each of a name."""
        from pyarrow import fs

        with self._plainly():
            found = self._store.get_file_info(
                fs.FileSelector(self._key, recursive=True, allow_not_found=True)
            )
        for info in found:
            address = f"{self._scheme}://{info.path}"
            # Nothing of ours is called otherwise, and such a name may lead out of a folder that it
            # is fetched to.
            if info.is_file and name in (None, info.base_name) and _ADDRESS.fullmatch(address):
                yield RemotePath(address)

    @property
    def _store(self) -> Any:
        return _store(self._scheme, self._key.partition("/")[0])

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Raise what the store says as the system's errors are raised.

        With a number, in few words, with the place.
        """
        from pyarrow import ArrowException

        try:
            yield
        # a request that Google's store takes for wrong is no OSError
        except (OSError, ArrowException) as error:
            number = getattr(error, "errno", None) or errno.EIO
            raise OSError(
                number, _words(getattr(error, "strerror", None) or str(error)), str(self)
            ) from error


def _words(text: str) -> str:
    """What is of use of a store's message: the kind of error, and what the server said."""
    for said in (_AWS.search(text), _GOOGLE.search(text)):
        if said:
            return one_line(f"{said[1]}: {said[2]}")
    return one_line(text)


@functools.lru_cache
def _store(scheme: str, bucket: str) -> Any:
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=TRIES_S))
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        # without it a store that is silent is waited for without end (pyarrow 26)
        "request_timeout": SILENT_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=2),
        "allow_delayed_open": True,  # an object of usual size is then one request
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:  # pyarrow does not look
        protocol, _, host = endpoint.rpartition("://")
        return fs.S3FileSystem(
            scheme=protocol or "https", endpoint_override=host.rstrip("/"), **settings
        )
    return fs.S3FileSystem(region=fs.resolve_s3_region(bucket), **settings)
