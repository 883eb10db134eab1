"""Nonsense for every route, by callers of every kind: an answer below 500, and never an echo."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.http import Route
from shared.openapi import document
from tests.platform import CNP, PASSWORD, Platform, person

pytestmark = pytest.mark.long

TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "\0", "' or 1=1 --", "%", "_", "\ud800", "ß", "2950101123456", "0" * 5000, "null"]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, width=32), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


def _fields(service: Any, route: Route) -> dict[str, Any]:
    """The names a route's body knows, so that nonsense gets past the outermost check."""
    spec = document(service.api)
    operation = spec["paths"][route.path][route.method.lower()]
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = spec["components"]["schemas"].get(name, {}).get("properties", {})
    return found


GOOD = {
    **person("fuzz@example.com", national_id=CNP, phone="+40721000001", birth_date="1990-01-31"),
    "language": "ro",
    "roles": [{"role": "DENTIST"}],
    "refresh_token": "nothing",
    "token": "nothing",
    "current_password": PASSWORD,
    "new_password": PASSWORD,
    "query": "pop",
    "limit": 5,
    "name": "Centru",
    "address": "Str. Lungă 1",
    "time_zone": "Europe/Bucharest",
    "languages": ["ro"],
}


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_no_nonsense_is_a_500(platform: Platform, data: st.DataObject) -> None:
    """Mutated bodies, queries, paths and headers get a 2xx or a 4xx problem on every route."""
    admin = platform.admin()
    for service in platform.services.values():
        for route in service.api.routes:
            fields = _fields(service, route)
            body = {name: GOOD.get(name) for name in fields}
            for name in (
                data.draw(st.sets(st.sampled_from(sorted(fields)), max_size=3)) if fields else ()
            ):
                body[name] = data.draw(VALUES)
            identity = data.draw(st.sampled_from([str(UUID(int=7)), "x", "%00", "..", "é"]))
            path = re.sub(r"\{\w+\}", identity, route.path)
            if data.draw(st.booleans()):
                path += "?" + data.draw(
                    st.sampled_from(["limit=x", "cursor=AAAA", "a=%00", "limit=1"])
                )
            token = data.draw(st.sampled_from([admin, None, "a.b.c"]))
            headers = data.draw(
                st.sampled_from(
                    [{}, {"If-Match": '"1"'}, {"If-Match": "W/x"}, {"traceparent": "x"}]
                )
            )
            sent = json.dumps(body) if fields else None
            answer = platform.client.open(
                path,
                method=route.method,
                data=sent,
                headers={
                    **headers,
                    **({"Content-Type": "application/json"} if sent else {}),
                    **({"Authorization": f"Bearer {token}"} if token else {}),
                },
            )
            assert 500 > answer.status_code, (route.method, path, sent, answer.text)
            if answer.status_code >= 400:
                assert "application/problem+json" == answer.mimetype
                assert PASSWORD not in answer.text
                assert CNP not in answer.text
    db = platform.databases["auth"]
    db.transaction(lambda tx: tx.run("delete from login_attempts"))
