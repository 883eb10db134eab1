"""The pages as a browser shows them, at a desk's and at a phone's width."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import Stack

pytestmark = pytest.mark.long

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=8000",
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running platform."""
    if BROWSER is None:
        pytest.skip("the pages are not tested: there is no chromium on this machine")
    with Stack(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def url(stack: Stack) -> str:
    """Where it answers."""
    return stack.url


def _browse(tmp_path: Path, url: str, *arguments: str) -> str:
    command = [BROWSER or "", *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def test_the_index_shows_every_service_alive(url: str, tmp_path: Path) -> None:
    """The index asks the services how they are and says that all are up."""
    page = _browse(tmp_path, f"{url}/", "--dump-dom")
    assert "All services are up." in page
    for name in ("auth", "patient"):
        assert f'href="/docs/{name}"' in page


def test_the_docs_render_every_operation(url: str, tmp_path: Path) -> None:
    """Scripts run under the page's own policy and draw the operations of the service."""
    page = _browse(tmp_path, f"{url}/docs/auth", "--dump-dom")
    assert "/api/auth/register" in page
    assert "/api/auth/login" in page


def test_the_invitation_refuses_a_bad_link_kindly(url: str, tmp_path: Path) -> None:
    """The page with the form is there; its token never reaches the server unasked."""
    page = _browse(tmp_path, f"{url}/invitation#nonsense", "--dump-dom")
    assert "Choose your password" in page


def test_a_mail_is_shown_in_its_frame(stack: Stack, url: str, tmp_path: Path) -> None:
    """The list shows what was sent; the formatted part is drawn in a frame where nothing runs."""
    name = f"{1:020d}-{'a' * 16}"
    html = "<p>formatted</p><script>document.body.append('ran')</script>"
    mail = f"Subject: A long way\r\nContent-Type: text/html\r\n\r\n{html}\r\n"
    (stack.directory / "mail" / f"{name}.eml").write_text(mail, encoding="utf-8")
    page = _browse(tmp_path, f"{url}/_local/mail#{name}", "--dump-dom")
    assert "A long way" in page
    assert f'src="/_local/mail/{name}.html"' in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    frame = _browse(tmp_path, f"{url}/_local/mail/{name}.html", "--dump-dom")
    assert ("<p>formatted</p>" in frame, "ran</body>" in frame) == (True, False)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", ["/", "/docs/patient", "/invitation", "/_local/mail"])
def test_pages_can_be_drawn(url: str, tmp_path: Path, path: str, width: int) -> None:
    """Every page has something to show at both widths: its picture is far from blank."""
    shot = tmp_path / "page.png"
    _browse(tmp_path, f"{url}{path}", f"--screenshot={shot}", f"--window-size={width},900")
    picture = shot.read_bytes()
    assert width == struct.unpack(">I", picture[16:20])[0]
    assert 10_000 < len(picture)  # a blank page of this size packs into 4 kB
