"""The gateway: every path to its target, problems where there is none, pages for people."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from flask import Flask
from werkzeug.test import Client

from infra.local.pages import Pages
from infra.local.proxy import Proxy
from infra.local.router import Application, Router, problem_response
from shared.errors import NotFound
from shared.http import Api
from shared.runtime import Service


def _echo(name: str) -> Application:
    def target(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("200 OK", [("Content-Type", "text/plain"), ("X-Method", environ["REQUEST_METHOD"])])
        query = environ.get("QUERY_STRING")
        return [f"{name} {environ['PATH_INFO']} {query} {len(body)}".encode()]

    return target


def _nothing(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    return problem_response(NotFound(), start)


def _router() -> Client:
    apis = {"/api/auth": _echo("auth"), "/api/patients": _echo("patient")}
    return Client(Router(apis, {"auth": _echo("auth-events")}, _nothing))


def test_a_prefix_leads_to_its_service_with_the_whole_path() -> None:
    """The service sees the path that the caller asked for."""
    assert "patient /api/patients/7 x=1 0" == _router().get("/api/patients/7?x=1").text
    assert "auth /api/auth  0" == _router().get("/api/auth").text


def test_a_push_sees_the_path_that_the_cloud_would_send() -> None:
    """The events target is mounted at its own root."""
    assert "auth-events /  2" == _router().post("/_events/auth", data=b"{}").text
    assert "auth-events /jobs/sweep  0" == _router().post("/_events/auth/jobs/sweep").text


def test_a_similar_prefix_is_another_path() -> None:
    """/api/authors is not /api/auth."""
    for path in ("/api/authors", "/api", "/api/", "/_events", "/_events/authors", "/apix/auth"):
        answer = _router().get(path)
        assert (404, "application/problem+json") == (answer.status_code, answer.mimetype)


def _pages() -> Client:
    api = Api("lab_order", prefix="/api/lab-orders")
    return Client(Pages([Service("lab_order", api=api)], Path("/nonexistent")))


def test_the_index_links_every_service() -> None:
    """Name, page and health of each service are on the index."""
    text = _pages().get("/").text
    assert 'href="/docs/lab_order"' in text
    assert 'data-health="/api/lab-orders/-/health"' in text
    assert "Lab order" in text


def test_pages_load_nothing_from_elsewhere() -> None:
    """No page and no stylesheet names another host, and the policy forbids it."""
    client = _pages()
    for path in ("/", "/docs/lab_order", "/static/base.css", "/static/docs.css"):
        answer = client.get(path)
        assert 200 == answer.status_code
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        outside = answer.text.replace("http://127.0.0.1:8080", "").replace("http://www.w3.org", "")
        assert "://" not in outside


def test_everything_a_page_names_is_there() -> None:
    """Scripts, stylesheets and icons of both pages answer."""
    client = _pages()
    for page in ("/", "/docs/lab_order"):
        parts = client.get(page).text.split('"')
        named = [part for part in parts if part.startswith("/static/")]
        assert named
        for path in named:
            assert 200 == client.get(path).status_code


def test_pages_are_read_only() -> None:
    """Another method is refused, another path is not found."""
    assert 405 == _pages().post("/").status_code
    assert 404 == _pages().get("/static/../pages.py").status_code
    assert 404 == _pages().get("/docs/other").status_code


def test_the_listing_says_where_services_are() -> None:
    """Tools find the prefixes of a running platform."""
    assert {"lab_order": "/api/lab-orders"} == json.loads(_pages().get("/services.json").data)


class _UnixServer(WSGIServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        request, _ = self.socket.accept()
        return request, ("", 0)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_proxy_passes_requests_on(tmp_path: Path) -> None:
    """Method, path, query, body and answer arrive as they were sent."""
    app = Flask("target")

    @app.route("/<path:rest>", methods=["POST"])
    def answer(rest: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        from flask import request

        seen = [rest, request.query_string.decode(), request.get_data().decode()]
        return {"seen": seen, "kind": request.content_type}, 201, {"X-Own": "1"}

    path = tmp_path / "s"
    server = _UnixServer(str(path), _Quiet)  # type: ignore[arg-type]
    server.set_app(app)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        got = Client(Proxy(path)).post(
            "/a%20b/ș?x=%26", data=b"{}", content_type="application/json"
        )
    finally:
        server.shutdown()
        server.server_close()
    assert (201, "1") == (got.status_code, got.headers["X-Own"])
    assert {"seen": ["a b/ș", "x=%26", "{}"], "kind": "application/json"} == got.json


def test_the_proxy_says_when_nobody_listens(tmp_path: Path) -> None:
    """A service that is down is a 503 with Retry-After, as in the cloud."""
    answer = Client(Proxy(tmp_path / "nobody")).get("/api/auth/me")
    assert (503, "1") == (answer.status_code, answer.headers["Retry-After"])
