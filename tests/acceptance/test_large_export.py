"""An archive of two gigabytes is made with the memory of a small one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest

_PIECE = bytes(range(256)) * 4096  # one mebibyte
_LARGE = 2 * 1024  # pieces: behind what 32 bits can tell, with what else is in the archive
_ROOM = 4 * 1024**3
_MOST = 128 * 1024**2

# What the job does with the files, in a process of its own, whose memory can be measured.
_MAKER = """
import json, resource, sys
from datetime import UTC, datetime
from uuid import UUID
from functions.auth.service.archive import Source, write_archive
from shared.blobs import objects
from shared.downloads import download
from shared.privacy import ExportFile

url, *files = sys.argv[1:]

def made(path, files):
    sources = [
        Source("xray", ExportFile(f["name"], "", f["sha256"], f["size"]),
               lambda f=f: download(f"{url}/{f['pieces']}"))
        for f in files
    ]
    parts = {"patient": {"patients": [{"first_name": "Ana"}]}}
    with objects().write(path) as sink:
        size = write_archive(
            sink, UUID(int=1), datetime.now(UTC), parts, sources, moved=lambda files, size: None)
    scale = 1 if sys.platform == "darwin" else 1024
    return size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

small, large = (json.loads(f) for f in files)
_, before = made("exports/small.zip", [small])
size, after = made("exports/large.zip", [small, large])
print(json.dumps({"size": size, "before": before, "after": after}))
"""


class _Pieces(BaseHTTPRequestHandler):
    """``/3`` is three pieces long; nothing of it lies anywhere."""

    def do_GET(self) -> None:
        pieces = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(pieces * len(_PIECE)))
        self.end_headers()
        for _ in range(pieces):
            self.wfile.write(_PIECE)

    def log_message(self, *_: object) -> None:
        """Nothing to tell."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pieces) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _file(pieces: int) -> str:
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(_PIECE)
    said = {"name": f"{pieces}.dcm", "sha256": digest.hexdigest(), "size": pieces * len(_PIECE)}
    return json.dumps({**said, "pieces": pieces})


@pytest.mark.long
def test_a_large_archive_needs_no_large_memory(url: str, tmp_path: Path) -> None:
    """Two gigabytes pass through a process that grows by little more than the parts under way, and
    any program can unpack what comes out."""
    if shutil.disk_usage(tmp_path).free < _ROOM:
        pytest.skip("no room for the archive")
    ran = subprocess.run(
        [sys.executable, "-c", _MAKER, url, _file(1), _file(_LARGE)],
        env={**os.environ, "OBJECTS_URL": tmp_path.as_uri()},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    found = json.loads(ran.stdout)
    assert found["size"] > _LARGE * len(_PIECE)
    assert found["after"] - found["before"] < _MOST, found
    with ZipFile(tmp_path / "exports" / "large.zip") as archive:
        assert archive.testzip() is None
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        members = json.loads(archive.read("manifest.json"))["members"]
    assert _LARGE * len(_PIECE) == sizes[f"files/xray/{_LARGE}.dcm"]
    assert {name: sizes[name] for name in members} == {
        name: member["size"] for name, member in members.items()
    }
