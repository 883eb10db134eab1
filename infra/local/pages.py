"""The pages for people: an index of the services and one OpenAPI page per service.

Everything comes from this machine: Swagger UI's files lie in the flask-openapi-swagger package.
"""

from __future__ import annotations

import importlib.util
import json
import mimetypes
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from infra import manifest
from infra.local.mail_pages import Found, MailPages
from infra.local.router import problem_response
from shared.errors import Forbidden, MethodNotAllowed, NotFound, Problem

if TYPE_CHECKING:
    from shared.runtime import Service

__all__ = ["Pages"]

_OWN = Path(__file__).parent / "static"
# Swagger UI sets style attributes; scripts and connections stay on this origin.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]
# What lies below /_local/ holds one-time links: no name that a stranger's page made lead here.
_OURSELVES = frozenset({"127.0.0.1", "localhost"})


class Pages:
    """A WSGI application: ``/``, ``/invitation``, ``/docs/<service>``, ``/_local/mail``, files."""

    def __init__(self, services: Sequence[Service], mails: Path) -> None:
        """``mails`` is the mail sink's directory."""
        swagger = _swagger()
        self._files = {
            "/static/base.css": _OWN / "base.css",
            "/static/index.css": _OWN / "index.css",
            "/static/docs.css": _OWN / "docs.css",
            "/static/index.js": _OWN / "index.js",
            "/static/docs.js": _OWN / "docs.js",
            "/static/invitation.js": _OWN / "invitation.js",
            "/static/mail.css": _OWN / "mail.css",
            "/static/mail.js": _OWN / "mail.js",
            "/static/icon.svg": _OWN / "icon.svg",
            "/favicon.ico": _OWN / "icon.svg",
            "/static/swagger-ui.css": swagger / "css" / "swagger-ui.css",
            "/static/swagger-ui-bundle.js": swagger / "js" / "swagger-ui-bundle.js",
        }
        self._pages = {
            "/": _index(services),
            "/invitation": _template("invitation.html"),
            "/services.json": _listing(services),
        }
        for service in services:
            self._pages[f"/docs/{service.name}"] = _docs(service)
        self._mails = MailPages(mails, _template("mail.html"), _POLICY)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """WSGI."""
        try:
            found = self._find(environ)
        except Problem as problem:
            return problem_response(problem, start_response)
        headers = [
            ("Content-Type", found.kind),
            ("Content-Length", str(len(found.body))),
            ("Cache-Control", found.age),
            ("Content-Security-Policy", found.policy or _POLICY),
            *_HEADERS,
        ]
        start_response("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [found.body]

    def _find(self, environ: dict[str, Any]) -> Found:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        page = self._pages.get(path) or self._pages.get(path.rstrip("/"))
        file = self._files.get(path)
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed if page or file else NotFound
        if page is not None:
            kind = "application/json" if path.endswith(".json") else "text/html; charset=utf-8"
            return Found(kind, "no-cache", page)
        if file is not None:
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            return Found(kind, "max-age=300", file.read_bytes())
        if path.startswith("/_local/mail"):
            if environ.get("HTTP_HOST", "").partition(":")[0] not in _OURSELVES:
                raise Forbidden("Only by the name 127.0.0.1 or localhost.")
            return self._mails.find(path)
        raise NotFound


def _swagger() -> Path:
    # Found without being imported: the package itself would bring a web framework along.
    spec = importlib.util.find_spec("flask_openapi_swagger")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("flask-openapi-swagger is not installed: make setup")
    return Path(spec.submodule_search_locations[0]) / "templates" / "swagger"


def _template(name: str, **values: str) -> bytes:
    return Template((_OWN / name).read_text(encoding="utf-8")).substitute(values).encode()


def _index(services: Sequence[Service]) -> bytes:
    cards = "\n".join(
        f"""<li class="service" data-health="{escape(s.prefix)}/-/health">
  <h2><a href="/docs/{escape(s.name)}">{escape(_title(s.name))}</a></h2>
  <p>{escape(manifest.summary(s.name))}</p>
  <p class="facts"><code>{escape(s.prefix)}</code>
    <span class="health" role="status">asking</span></p>
</li>"""
        for s in services
    )
    hint = _template("login.html").decode() if any(s.name == "auth" for s in services) else ""
    return _template("index.html", cards=cards, hint=hint, count=str(len(services)))


def _docs(service: Service) -> bytes:
    return _template("docs.html", title=escape(_title(service.name)), prefix=escape(service.prefix))


def _listing(services: Sequence[Service]) -> bytes:
    """What a client of the running platform may want to know: ``{name: prefix}``."""
    return json.dumps({s.name: s.prefix for s in services}).encode()


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
