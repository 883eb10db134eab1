"""An S3 server of our own."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

__all__ = ["bucket_url"]


@contextmanager
def bucket_url() -> Iterator[str]:
    """The URL of a bucket on it, with the environment set for who opens it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ENDPOINT", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("AWS_REGION", "eu-central-1"),
        ):
            patch.setenv(name, value)
        bucket = f"bucket-{uuid4()}"
        made = urllib.request.Request(f"http://{host}:{port}/{bucket}", method="PUT")
        urllib.request.urlopen(made).close()
        yield f"s3://{bucket}"
    server.stop()
