"""The HTTP edge of a service: declare a route, get one that is checked.

    api = Api("patient", prefix="/api/patients")

    @api.get("/{patient_id}", access=roles("DENTIST") | owner("patient_id"), returns=Patient)
    def show(patient_id: UUID, caller: Caller) -> Reply[Patient]: ...

The order of checks is part of the contract: 404 and 405 for what no route knows, 401, then 404
for a malformed id, 403 as soon as it is certain, 422 for the query, 428 and 412 for If-Match, and
only then the body (413, 415, 400, 422). Whether an id exists is the handler's to tell. Every
answer that is not the handler's own is application/problem+json and quotes nothing it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeVar, overload

from flask import Request, Response
from pydantic import TypeAdapter

from shared import log
from shared.access import Rule
from shared.errors import MethodNotAllowed, NotFound, Problem
from shared.http_exchange import Authenticate, Exchange
from shared.http_plan import RouteError, plan
from shared.http_reply import JSON, Reply, make
from shared.http_request import (
    IfMatch,
    RequestInfo,
    correlation_of,
    has_body,
    limit_body,
    settle,
)
from shared.http_routes import Route, Table
from shared.idempotency import Once
from shared.traces import Span

__all__ = ["Api", "Authenticate", "IfMatch", "Reply", "RequestInfo", "Route", "RouteError"]

P = ParamSpec("P")
T = TypeVar("T")


class _Declare(Generic[T]):
    """Registers a handler whose value is a T, alone or in a Reply; leaves it as it is."""

    def __init__(self, register: Callable[[Callable[..., Any]], None]) -> None:
        self._register = register

    @overload
    def __call__(self, handler: Callable[P, Reply[T]]) -> Callable[P, Reply[T]]: ...
    @overload
    def __call__(self, handler: Callable[P, T]) -> Callable[P, T]: ...
    def __call__(self, handler: Callable[P, Any]) -> Callable[P, Any]:
        self._register(handler)
        return handler


class _Verb:
    """``api.get`` and its kin."""

    def __init__(self, api: Api, method: str) -> None:
        self._api, self._method = api, method

    @overload
    def __call__(
        self,
        path: str,
        *,
        access: Rule,
        returns: type[T],
        status: int = 200,
        problems: Sequence[type[Problem]] = (),
        media: str = JSON,
    ) -> _Declare[T]: ...
    @overload
    def __call__(
        self,
        path: str,
        *,
        access: Rule,
        returns: None = None,
        status: int = 204,
        problems: Sequence[type[Problem]] = (),
    ) -> _Declare[None]: ...
    def __call__(
        self,
        path: str,
        *,
        access: Rule,
        returns: Any = None,
        status: int | None = None,
        problems: Sequence[type[Problem]] = (),
        media: str = JSON,
    ) -> _Declare[Any]:
        """Declare a route: ``path`` below the prefix with ``{placeholders}``, who may use it,
        the model it returns (None: no content; bytes: as they are, of the type ``media``), its
        status, and the problems of its own.

        The decorator raises RouteError when the handler does not fit.
        """
        if status is None:
            status = 204 if returns is None else 200
        named = f"{self._api.name}: {self._method} {self._api.prefix}{path}"
        if not isinstance(access, Rule):
            raise RouteError(f"{named}: access must be a rule such as roles(...) or owner(...)")

        def register(handler: Callable[..., Any]) -> None:
            try:
                self._api.add(
                    Route(
                        method=self._method,
                        path=self._api.prefix + path,
                        access=access,
                        handler=handler,
                        status=status,
                        returns=returns,
                        media=media,
                        adapter=None if returns is None else TypeAdapter(returns),
                        problems=tuple(problems),
                        plan=plan(handler, path, self._method, access),
                    )
                )
            except (RouteError, NameError) as exc:
                raise RouteError(f"{named} ({handler.__name__}): {exc}") from exc

        return _Declare(register)


class Api:
    """The routes of one service under one URL prefix."""

    def __init__(self, name: str, prefix: str) -> None:
        self.name, self.prefix = name, prefix
        self._table = Table(prefix)
        self.get = _Verb(self, "GET")
        self.post = _Verb(self, "POST")
        self.put = _Verb(self, "PUT")
        self.patch = _Verb(self, "PATCH")
        self.delete = _Verb(self, "DELETE")

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route, in the order of declaration."""
        return tuple(self._table.routes)

    def add(self, route: Route) -> None:
        """Register a route; ``get`` and its kin build it. Raises RouteError."""
        self._table.add(route)

    def handle(
        self, request: Request, authenticate: Authenticate, once: Once | None = None
    ) -> Response:
        """Answer ``request``, a repeated POST by ``once``; raises nothing."""
        started = perf_counter()
        environ = request.environ
        correlation = correlation_of(environ)
        exchange = Exchange(request, correlation, authenticate, once=once)
        span = Span("HTTP", "server", environ.get("HTTP_TRACEPARENT"))
        with log.context(correlation=correlation), span:
            laden = has_body(environ)
            try:
                if laden:
                    limit_body(request)
                response = self._answer(exchange)
            except Problem as exc:
                response = exchange.refuse(exc)
            except Exception as exc:  # noqa: BLE001 -- whatever it is, the caller gets an answer
                response = exchange.fail(exc)
            if laden:
                settle(request)
            exchange.record(response.status_code, started, span)
        return response

    def _answer(self, exchange: Exchange) -> Response:
        environ = exchange.request.environ
        method = environ["REQUEST_METHOD"]
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not path.isascii():
            path = _utf8(path)
        resource, texts = self._table.find(path)
        exchange.template = resource.template
        route = resource.routes.get("GET" if method == "HEAD" else method)
        if route is not None:
            return exchange.run(route, texts)
        if method == "OPTIONS":
            return make(204, b"", exchange.correlation, headers=resource.allow)
        raise MethodNotAllowed(headers=resource.allow)


def _utf8(path: str) -> str:
    """WSGI hands over the path's bytes as latin-1 (PEP 3333)."""
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise NotFound from None
