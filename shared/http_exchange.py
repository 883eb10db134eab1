"""One request on its way through a route: checked, handled, answered, logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from flask import Request, Response

from shared import log
from shared.audit import acting_in
from shared.errors import Forbidden, Problem, Unauthenticated, Unavailable
from shared.http_reply import Answer, Reply, make, problem
from shared.http_request import RequestInfo, if_match_of, matches, read_body
from shared.http_routes import Route
from shared.idempotency import Asked, Once
from shared.identity import ANONYMOUS, Caller
from shared.strict_json import validate
from shared.traces import Span, observe

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
    once: Once | None = None
    """Whoever repeats a POST with an Idempotency-Key gets its first answer from here."""

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
            answer = self._once(route, caller, lambda: self._shape(route, arguments))
        return make(answer.status, answer.body, self.correlation, headers=answer.headers)

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

    def _once(self, route: Route, caller: Caller, handle: Callable[[], Answer]) -> Answer:
        """What ``handle`` answers; for a repeated POST, what it answered at first."""
        environ = self.request.environ
        key = environ.get("HTTP_IDEMPOTENCY_KEY") if route.method == "POST" else None
        if key is None or self.once is None:
            return handle()
        asked = Asked(
            caller,
            route.path,
            environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_IF_MATCH", ""),
            self.request.get_data() if route.plan.body_adapter is not None else b"",
        )
        return self.once.answer(key, asked, handle)

    def _shape(self, route: Route, arguments: Mapping[str, Any]) -> Answer:
        result = route.handler(**arguments)
        if not isinstance(result, Reply):
            result = Reply(result)
        status = result.status or route.status
        headers = dict(result.headers)
        if result.location is not None:
            headers["Location"] = result.location
        if result.etag is not None:
            headers["ETag"] = tag = f'"{result.etag}"'
            if route.method == "GET" and matches(self.request.environ, tag):
                return Answer(304, b"", headers)
        if route.adapter is None:
            body = b""
        elif route.returns is bytes:
            headers.setdefault("Content-Type", route.media)
            body = bytes(result.value)
        else:
            # A value that is not what the route declares is our mistake: 500, not a guess.
            body = route.adapter.serializer.to_json(result.value, warnings="error")
        return Answer(status, body, headers)

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

    def record(self, status: int, started: float, span: Span) -> None:
        """The access log's line, and the duration for the metrics and the trace: they know the
        route's template, never the path or the query."""
        method = self.request.environ["REQUEST_METHOD"]
        took = perf_counter() - started
        observe(span, method if method in _METHODS else "_OTHER", self.template, status, took)
        caller = self.caller
        log.info(
            "request",
            method=method if method in _METHODS else "other",
            route=self.template,
            status=status,
            ms=round(took * 1000, 2),
            caller=None if caller is None else (caller.service or caller.id),
            problem=self.problem,
        )
