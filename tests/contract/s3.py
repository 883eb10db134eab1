"""An S3 server of our own."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
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
    assert server._server is not None
    server._server.app = _one_after_the_other(server._server.app)
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


def _one_after_the_other(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """``app`` as S3 decides: a write is either before or after another one. moto's threads look
    whether there is an object and make it in two steps."""
    lock = threading.Lock()

    def decided(environ: object, start: object) -> Iterable[bytes]:
        with lock:
            return app(environ, start)

    return decided
