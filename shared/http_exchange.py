"""One request on its way through a route: checked, handled, answered, logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from flask import Request, Response

from shared import log
from shared.audit import acting_in
from shared.errors import Forbidden, Problem, Unauthenticated, Unavailable
from shared.http_reply import Reply, make, problem
from shared.http_request import RequestInfo, if_match_of, matches, read_body
from shared.http_routes import Route
from shared.identity import ANONYMOUS, Caller
from shared.strict_json import validate

__all__ = ["Authenticate", "Exchange"]

Authenticate = Callable[[str | None], Caller]
"""From the Authorization header (None: absent) to the caller; raises Unauthenticated."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class Exchange:
    """One request on its way; what is known so far is what the log line can say."""

    request: Request
    correlation: str
    authenticate: Authenticate
    template: str | None = None
    caller: Caller | None = None
    challenge: str = "Bearer"
    problem: str | None = None

    def run(self, route: Route, texts: list[str]) -> Response:
        """Check everything the route demands, call its handler, shape the answer."""
        environ = self.request.environ
        plan = route.plan
        rule = route.access
        if plan.caller is not None or not rule.public:
            self._identify(environ.get("HTTP_AUTHORIZATION"), needed=not rule.public)
        caller = self.caller or ANONYMOUS
        arguments = plan.read_path(texts)
        allowed = rule.decide(caller, arguments)
        if allowed is False:
            raise Forbidden
        query = plan.read_query(environ.get("QUERY_STRING", ""))
        known = arguments
        if allowed is None and query is not None:
            known = {**known, **{name: getattr(query, name) for name in plan.access_query}}
            allowed = rule.decide(caller, known)
        if plan.if_match is not None and allowed:
            arguments[plan.if_match] = if_match_of(environ)
        if plan.body_adapter is not None and allowed is not False:
            body = arguments["body"] = validate(plan.body_adapter, read_body(self.request))
            if allowed is None:
                known = {**known, **{name: getattr(body, name) for name in plan.access_body}}
                allowed = rule.decide(caller, known)
        if not allowed:
            raise Forbidden
        if plan.if_match is not None and plan.if_match not in arguments:
            arguments[plan.if_match] = if_match_of(environ)
        if query is not None:
            arguments["query"] = query
        if plan.caller is not None:
            arguments[plan.caller] = caller
        if plan.request is not None:
            arguments[plan.request] = RequestInfo.of(environ, self.correlation)
        with acting_in(environ, caller):
            result = route.handler(**arguments)
        return self._shape(route, result)

    def _identify(self, header: str | None, *, needed: bool) -> None:
        try:
            caller = self.authenticate(header)
        except Unauthenticated:
            if header is not None:
                self.challenge = 'Bearer error="invalid_token"'  # RFC 6750, 3.1
            raise
        if needed and caller.kind == "anonymous":
            raise Unauthenticated
        self.caller = caller

    def _shape(self, route: Route, result: Any) -> Response:
        if not isinstance(result, Reply):
            result = Reply(result)
        status = result.status or route.status
        headers = dict(result.headers)
        if result.location is not None:
            headers["Location"] = result.location
        if result.etag is not None:
            headers["ETag"] = tag = f'"{result.etag}"'
            if route.method == "GET" and matches(self.request.environ, tag):
                return make(304, b"", self.correlation, headers=headers)
        # A value that is not what the route declares is our mistake: 500, not a guess.
        body = (
            b""
            if route.adapter is None
            else route.adapter.serializer.to_json(result.value, warnings="error")
        )
        return make(status, body, self.correlation, headers=headers)

    def refuse(self, exc: Problem) -> Response:
        """The answer for a problem somebody raised on purpose."""
        if exc.status >= 500 and not isinstance(exc, Unavailable):
            return self.fail(exc)
        self.problem = "-".join(exc.words())
        if isinstance(exc, Unavailable):
            log.warning("unavailable", detail=exc.detail, cause=repr(exc.__cause__))
        response = problem(exc, self.correlation)
        if exc.status == 401:
            response.headers["WWW-Authenticate"] = self.challenge
        return response

    def fail(self, exc: Exception) -> Response:
        """The answer for what nobody expected: the correlation id leads to the stack."""
        log.error("request_failed", exc=exc, route=self.template)
        self.problem = "problem"
        return problem(Problem(correlation_id=self.correlation), self.correlation)

    def record(self, status: int, started: float) -> None:
        """The access log's line: the route's template, never the path or the query."""
        method = self.request.environ["REQUEST_METHOD"]
        caller = self.caller
        log.info(
            "request",
            method=method if method in _METHODS else "other",
            route=self.template,
            status=status,
            ms=round((perf_counter() - started) * 1000, 2),
            caller=None if caller is None else (caller.service or caller.id),
            problem=self.problem,
        )
