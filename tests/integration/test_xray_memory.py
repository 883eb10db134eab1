"""A large file passes in parts: memory does not grow with it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.images import dicom, pixels
from shared.blobs import Blobs

_LIMIT = 90  # MiB; the file has 190
_MEASURE = """
import json, resource, sys
from functions.xray.domain import rendering, signatures
from infra.images import dicom
from io import BytesIO
from shared.blobs import Blobs

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

url, digest = sys.argv[1:]
store, kind = Blobs(url), signatures.DICOM
small = dicom()
# What the libraries take is taken once, whatever the size of the file.
rendering.thumbnail(rendering.picture(BytesIO(small), len(small), kind))
before = most()
stat = store.stat("incoming/large")
with store.open("incoming/large", stat) as file:
    signatures.check(file, stat.size, kind)
    shown = rendering.picture(file, stat.size, kind, None, 1699)
store.copy("incoming/large", "xrays/large", stat, sha256=digest)
print(json.dumps([before, most(), len(shown)]))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_a_large_file_is_never_wholly_in_memory(tmp_path: Path) -> None:
    """Checking, showing and copying 190 MB takes less than half of that on top."""
    data = dicom(data=pixels().tobytes() * 5100, tags={"Rows": 360, "NumberOfFrames": "1700"})
    store = Blobs(tmp_path.as_uri())
    with store.write("incoming/large") as made:
        made.write(data)
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE, tmp_path.as_uri(), hashlib.sha256(data).hexdigest()],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert 0 == ran.returncode, ran.stderr
    before, most, shown = json.loads(ran.stdout)
    assert shown > 0
    assert most - before < _LIMIT
