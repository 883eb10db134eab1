"""The provider's side of an e-mail: encrypted, with a password, and what its refusals mean."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.notification.service.smtp import Mailer, MailFailed, MailRefused
from infra.local.preflight import HOST, free_port

SENDER, ANA = "no-reply@clinic.example", "ana@example.com"


class _Provider:
    """Takes mail from who knows the password, over TLS; refuses what the subject says."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.connections = 0
        self.greeted: list[str] = []

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """``mail`` with ``p@ss:word/1``."""
        known = LoginPassword(b"mail", b"p@ss:word/1")
        return AuthResult(success=data == known, handled=data == known)

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Somebody begins to talk."""
        session.host_name = hostname
        self.greeted.append(hostname)
        self.connections += 1
        return responses

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Who sends."""
        envelope.mail_from = address
        return "550 5.7.1 not yours" if address.startswith("stranger") else "250 OK"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """A whole mail."""
        text = (envelope.original_content or b"").decode()
        subject = text.partition("Subject: ")[2].partition("\r\n")[0]
        if subject[:1] in "45":
            return f"{subject} as you wish"
        self.subjects.append(subject)
        return "250 Kept"


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine's own for HOST, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Made once: certificate and key."""
    return _certificate(tmp_path_factory.mktemp("tls"))


Start = Callable[[str], tuple[_Provider, str]]


@pytest.fixture
def start(certificate: tuple[Path, Path]) -> Iterator[Start]:
    """A function that starts a provider of a kind and returns it with its host and port."""
    running: list[Controller] = []

    def begin(kind: str) -> tuple[_Provider, str]:
        provider, port = _Provider(), free_port()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        kinds: dict[str, dict[str, Any]] = {
            "plain": {"enable_SMTPUTF8": False},
            "smtps": {"ssl_context": context, "auth_require_tls": False},
            "starttls": {"tls_context": context, "require_starttls": True, "auth_required": True},
        }
        controller = Controller(
            provider,
            hostname=HOST,
            port=port,
            server_hostname="localhost",
            ready_timeout=60.0,
            authenticator=provider.authenticate,
            **kinds[kind],
        )
        controller.start()
        running.append(controller)
        return provider, f"{HOST}:{port}"

    yield begin
    for controller in running:
        controller.stop()


def _message(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, SENDER, ANA
    message.set_content("Hello")
    return message


def _send(mailer: Mailer, subject: str = "hello", *, sender: str = SENDER, to: str = ANA) -> None:
    mailer.send(_message(subject), sender=sender, recipient=to)


@pytest.mark.parametrize("kind", ["starttls", "smtps"])
def test_with_tls_and_a_password(
    kind: str, start: Start, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password with characters of URLs in it travels encrypted, to who proves who they are."""
    provider, place = start(kind)
    end = "?starttls" if kind == "starttls" else ""
    scheme = "smtps" if kind == "smtps" else "smtp"
    url = f"{scheme}://mail:p%40ss%3Aword%2F1@{place}/{end}"
    with Mailer(url) as untrusting, pytest.raises(MailFailed) as refused:
        _send(untrusting)
    assert (True, "SSLCertVerificationError") == (refused.value.away, str(refused.value))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with Mailer(url) as mailer:
        _send(mailer, "one")
        _send(mailer, "two")
    assert ["one", "two"] == provider.subjects


def test_a_wrong_password_is_no_fault_of_the_mail(
    start: Start, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """535 is final for the log-in, not for the mail: it waits for the right password."""
    _, place = start("starttls")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with Mailer(f"smtp://mail:wrong@{place}/?starttls") as mailer:
        with pytest.raises(MailFailed) as refused:
            _send(mailer)
        assert (True, "535") == (refused.value.away, str(refused.value))


@pytest.mark.parametrize(
    "url",
    [
        "smtp://user:secret@mail.example:587",
        "smtp://user:secret@127.0.0.1.example:25",
        "http://mail.example",
        "smtp://",
        "mail.example:25",
        "",
    ],
)
def test_urls_that_will_not_do(url: str) -> None:
    """A password in the clear, or no mail server at all; the error repeats neither."""
    with pytest.raises(ValueError, match="SMTP_URL") as refused:
        Mailer(url)
    assert "secret" not in str(refused.value)


def test_what_refusals_mean(start: Start) -> None:
    """4xx of a mail is for now and for this one; 5xx is for ever; the sender's is ours to mend."""
    provider, place = start("plain")
    with Mailer(f"smtp://{place}") as mailer:
        with pytest.raises(MailFailed) as busy:
            _send(mailer, "451 later")
        assert (False, "451") == (busy.value.away, str(busy.value))
        with pytest.raises(MailRefused, match=r"^554$"):
            _send(mailer, "554 never")
        with pytest.raises(MailFailed) as misconfigured:
            _send(mailer, sender="stranger@example.com")
        assert (True, "550") == (misconfigured.value.away, str(misconfigured.value))
        with pytest.raises(MailRefused, match=r"^[A-Za-z]+$"):
            _send(mailer, to="ănă@example.com")
        _send(mailer)
    assert ["hello"] == provider.subjects


def test_a_connection_serves_several_mails(start: Start) -> None:
    """One connection for a batch; after a refusal the next mail has one of its own."""
    provider, place = start("plain")
    with Mailer(f"smtp://{place}") as mailer:
        for number in range(3):
            _send(mailer, f"mail {number}")
        assert 1 == provider.connections
        with pytest.raises(MailRefused):
            _send(mailer, "554 never")
        _send(mailer, "after")
    assert 2 == provider.connections
    assert ["mail 0", "mail 1", "mail 2", "after"] == provider.subjects


@pytest.mark.parametrize(
    ("host", "greeting"),
    [
        ("app.clinic.example", "app.clinic.example"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
    ],
)
def test_the_greeting_names_the_platform(start: Start, host: str, greeting: str) -> None:
    """EHLO says the name that was given, and an address as RFC 5321, 4.1.3, writes it."""
    provider, place = start("plain")
    with Mailer(f"smtp://{place}", host) as mailer:
        _send(mailer)
    assert [greeting] == provider.greeted


def test_nobody_listens() -> None:
    """A port without a server says so at once."""
    with Mailer(f"smtp://{HOST}:{free_port()}") as mailer, pytest.raises(MailFailed) as refused:
        mailer.open()
    assert (True, "ConnectionRefusedError") == (refused.value.away, str(refused.value))
