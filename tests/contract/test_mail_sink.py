"""The mail sink over real SMTP, and its page over real HTTP."""

from __future__ import annotations

import json
import smtplib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from infra.local.mail_sink import MailSink
from infra.local.pages import Pages
from infra.local.preflight import HOST, free_port

SENDER = "no-reply@dentalhelp.example"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class World(NamedTuple):
    """A sink, its directory, and the pages' address."""

    smtp_port: int
    directory: Path
    url: str

    def send(self, content: bytes, *to: str) -> None:
        """One mail, as a client of SMTP sends it."""
        with smtplib.SMTP(HOST, self.smtp_port, timeout=10) as client:
            client.sendmail(SENDER, to or ["ana@example.com"], content)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a page."""
        asked = urllib.request.Request(f"{self.url}{path}", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, dict(refused.headers), refused.read().decode()

    def mails(self) -> list[dict[str, Any]]:
        """What the page lists."""
        items: list[dict[str, Any]] = json.loads(self.get("/_local/mail.json")[2])["items"]
        return items

    def mail(self, index: int = 0) -> dict[str, Any]:
        """What the page shows of one of them."""
        found: dict[str, Any] = json.loads(
            self.get(f"/_local/mail/{self.mails()[index]['id']}.json")[2]
        )
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A sink and a web server, both real."""
    directory = tmp_path / "mail"
    directory.mkdir()
    sink = MailSink(free_port(), directory)
    sink.start()
    server = make_server(HOST, 0, Pages([], directory), handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield World(sink.port, directory, f"http://{HOST}:{server.server_port}")
    server.shutdown()
    server.server_close()
    sink.stop()


def _message(subject: str, html: str = "<p>Bună</p>") -> bytes:
    mail = EmailMessage()
    mail["From"] = f"Clinica Zâmbet <{SENDER}>"
    mail["To"] = "ana@example.com"
    mail["Subject"] = subject
    mail.set_content("Bună, Ștefan!\n")
    mail.add_alternative(html, subtype="html")
    return mail.as_bytes()


def test_a_mail_is_kept_as_it_was_sent(world: World) -> None:
    """The file holds the very bytes of the message, with sender and recipients in front."""
    sent = b"Subject: one\r\nX-Own: 1\r\n\r\nHello\r\n.\r\nbye\r\n"
    world.send(sent, "ana@example.com", "ion@example.com")
    (file,) = world.directory.iterdir()
    front = (
        f"Return-Path: <{SENDER}>\r\n"
        "Delivered-To: ana@example.com\r\nDelivered-To: ion@example.com\r\n"
    )
    assert front.encode() + sent == file.read_bytes()


def test_the_newest_stands_first(world: World) -> None:
    """The list has subject, sender and recipients, in people's letters."""
    for number in range(3):
        world.send(_message(f"Știre {number}"))
    assert ["Știre 2", "Știre 1", "Știre 0"] == [mail["subject"] for mail in world.mails()]
    shown = world.mails()[0]
    long = "Adresa de e-mail s-a schimbat, iar acesta este un subiect de mai multe rânduri"
    world.send(_message(long))
    assert long == world.mails()[0]["subject"]
    assert (f"Clinica Zâmbet <{SENDER}>", ["ana@example.com"]) == (shown["from"], shown["to"])


def test_a_mail_shows_its_parts(world: World) -> None:
    """Headers and text as people read them; the formatted part is at its own address."""
    world.send(_message("Bun venit"))
    mail = world.mail()
    assert ("Bună, Ștefan!\n", True) == (mail["text"], mail["html"])
    assert ["Subject", "Bun venit"] in mail["headers"]
    status, _, html = world.get(f"/_local/mail/{mail['id']}.html")
    assert (200, True) == (status, "<p>Bună</p>" in html)


def test_a_formatted_mail_can_do_nothing(world: World) -> None:
    """Its policy lets no script run and nothing be fetched, also when it is opened by itself."""
    world.send(_message("x", "<script>alert(1)</script><img src=https://spy.example/1>"))
    _, headers, html = world.get(f"/_local/mail/{world.mail()['id']}.html")
    policy = [part.strip() for part in headers["Content-Security-Policy"].split(";")]
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "default-src 'none'" in policy
    assert not [part for part in policy if part.startswith(("script-src", "connect-src"))]
    assert "<script>" in html


def test_links_of_a_formatted_mail_open_beside_it(world: World) -> None:
    """The frame stays a frame; the kind of HTML that the mail declared is kept."""
    world.send(_message("x", "<!doctype html><html><head><title>t</title></head>"))
    html = world.get(f"/_local/mail/{world.mail()['id']}.html")[2]
    assert html.startswith('<!doctype html><html><head><base target="_blank"><title>')


def test_the_page_is_part_of_the_platform(world: World) -> None:
    """The page is there, its files too, and the index links it."""
    status, headers, page = world.get("/_local/mail")
    assert (200, True) == (status, "frame-src 'self'" in headers["Content-Security-Policy"])
    named = [part for part in page.split('"') if part.startswith("/static/")]
    assert [200] * len(named) == [world.get(path)[0] for path in named]
    assert 'href="/_local/mail"' in world.get("/")[2]


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fadmin", "../admin", "1", "0" * 20 + "-" + "a" * 16, "."]
)
def test_nothing_else_can_be_read(world: World, name: str) -> None:
    """A name that is no mail's is not found, wherever it points."""
    (world.directory.parent / "admin.json").write_text("{}")
    for end in ("json", "html"):
        assert 404 == world.get(f"/_local/mail/{name}.{end}")[0]


def test_a_strangers_name_leads_nowhere(world: World) -> None:
    """A page elsewhere that calls this machine by its own name is refused the mails."""
    for path in ("/_local/mail", "/_local/mail.json"):
        assert 403 == world.get(path, Host="rebound.example")[0]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\r\n\r\n\x00",
        b"Subject: =?nonsense?b?!!!?=\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\xff",
        b"Subject: =?utf-8?b?a?=\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n",
        "Subject: Știre\r\n\r\nfără codare".encode(),
        b"",
    ],
)
def test_any_bytes_can_be_shown(world: World, content: bytes) -> None:
    """Whatever somebody sends, the list and the mail answer."""
    world.send(content)
    assert 1 == len(world.mails())
    assert "headers" in world.mail()


def test_a_mail_without_html_has_no_such_part(world: World) -> None:
    """Plain text is shown as text, and nothing else is offered."""
    world.send(b"Subject: plain\r\n\r\nHello\r\n")
    mail = world.mail()
    assert ("Hello\n", False) == (mail["text"], mail["html"])
    assert 404 == world.get(f"/_local/mail/{mail['id']}.html")[0]


def test_what_cannot_be_kept_is_not_accepted(world: World) -> None:
    """When the mail cannot be written the sender is told to try again later."""
    world.directory.rmdir()
    with pytest.raises(smtplib.SMTPDataError) as refused:
        world.send(b"Subject: lost\r\n\r\n")
    assert 452 == refused.value.smtp_code
    world.directory.mkdir()
    world.send(b"Subject: kept\r\n\r\n")
    assert ["kept"] == [mail["subject"] for mail in world.mails()]


def test_the_end_waits_for_nobody(tmp_path: Path) -> None:
    """A client that stays connected does not keep the sink from ending; its port is free again."""
    port = free_port()
    sink = MailSink(port, tmp_path)
    sink.start()
    idle = smtplib.SMTP(HOST, port, timeout=10)
    idle.ehlo()
    sink.stop()
    idle.close()
    again = MailSink(port, tmp_path)
    again.start()
    with smtplib.SMTP(HOST, port, timeout=10) as client:
        client.sendmail(SENDER, ["ana@example.com"], b"Subject: x\r\n\r\n")
    again.stop()
    assert 1 == len(list(tmp_path.iterdir()))


def test_a_taken_port_ends_nothing(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sink says that it could not start; whatever else lives in the process goes on."""
    second = MailSink(world.smtp_port, tmp_path)
    second.start()
    second.stop()
    assert "mail_sink_cannot_start" in "".join(capsys.readouterr())
