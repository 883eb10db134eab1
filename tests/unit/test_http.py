"""The HTTP edge: what a declared route checks, and what its answers carry."""

from __future__ import annotations

import json
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import log
from tests.http_example import CLINIC, ME, MINE, OTHER, Allergy, api, send


def test_a_value_comes_back_as_json_with_its_version() -> None:
    """The declared model as JSON, its version as a strong ETag, nothing cacheable."""
    answer = send("GET", MINE, who="patient")
    assert {"id": str(ME), "name": "Ana"} == answer.json
    assert (
        answer.status,
        answer.headers["Content-Type"],
        answer.headers["ETag"],
        answer.headers["Cache-Control"],
        answer.headers["X-Content-Type-Options"],
    ) == ("200 OK", "application/json", '"7"', "no-store", "nosniff")


def test_creating_says_where() -> None:
    """201 with the absolute path of what was made."""
    answer = send("POST", "", who="patient", body=json.dumps({"patient_id": str(ME)}))
    assert (201, f"/api/examples/{ME}", '"1"') == (
        answer.status_code,
        answer.headers["Location"],
        answer.headers["ETag"],
    )


@pytest.mark.parametrize("tag", ['"7"', 'W/"7"', '"1", "7"', "*"])
def test_what_the_caller_already_has_is_not_sent_again(tag: str) -> None:
    """If-None-Match that names the version: 304, without a body."""
    answer = send("GET", MINE, who="patient", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"7"')


@pytest.mark.parametrize("tag", ['"8"', "7", '"77"', ""])
def test_another_version_is_sent(tag: str) -> None:
    """If-None-Match that does not name the version changes nothing."""
    assert send("GET", MINE, who="patient", headers={"If-None-Match": tag}).status_code == 200


def test_head_is_get_without_the_body() -> None:
    """HEAD says how long the body would be and sends none."""
    got, head = (send(method, MINE, who="patient") for method in ("GET", "HEAD"))
    assert (200, b"", got.headers["Content-Length"]) == (
        head.status_code,
        head.data,
        head.headers["Content-Length"],
    )


def test_options_says_what_is_allowed() -> None:
    """204 with Allow, without a token, and without any CORS header."""
    answer = send("OPTIONS", MINE)
    assert (
        answer.status_code,
        answer.headers["Allow"],
    ) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    assert not [name for name in answer.headers if name[0].startswith("Access-Control")]


def test_no_content_has_no_content() -> None:
    """A route that returns nothing: 204 with neither body nor type nor length."""
    answer = send("DELETE", MINE, who="admin")
    assert (204, b"", set()) == (
        answer.status_code,
        answer.data,
        {"Content-Type", "Content-Length"} & set(answer.headers.keys()),
    )


@pytest.mark.parametrize(
    ("status", "version"),
    [
        (200, '"7"'),
        *((412, tag) for tag in ('"6"', 'W/"7"', '"07"', '"abc"')),
        *((428, tag) for tag in (None, "*", "")),
        *((400, tag) for tag in ("7", '"7", "8"', '"7')),
    ],
)
def test_updates_need_the_version_last_read(status: int, version: str | None) -> None:
    """Absent or * is 428, weak, foreign or stale is 412, what is no ETag is 400."""
    headers = {} if version is None else {"If-Match": version}
    answer = send("PATCH", MINE, who="patient", headers=headers, body='{"substance": "latex"}')
    assert status == answer.status_code


@pytest.mark.parametrize(
    ("status", "method", "path", "who"),
    [
        (401, "GET", MINE, None),
        (401, "GET", MINE, "nobody"),
        (401, "GET", "/no-uuid", None),
        (404, "GET", "/no-uuid", "patient"),
        (404, "GET", f"/{{{ME}}}", "patient"),
        (404, "GET", f"/{ME.hex}", "patient"),
        (200, "GET", f"/{str(ME).upper()}", "patient"),
        (403, "GET", f"/{OTHER}", "patient"),
        (200, "GET", f"/{ME}", "dentist"),
        (403, "GET", MINE, "notification"),
        (403, "DELETE", MINE, "dentist"),
        (204, "DELETE", MINE, "admin"),
        (401, "GET", "/me", None),
        (403, "GET", "/me", "notification"),
        (204, "POST", "/sync", "notification"),
        (403, "POST", "/sync", "admin"),
        (200, "GET", f"?clinic_id={CLINIC}", "dentist"),
        (403, "GET", f"?clinic_id={OTHER}", "dentist"),
        (403, "GET", "", "dentist"),
        (403, "GET", "", "patient"),
        (404, "GET", "/" + MINE, "patient"),
        (404, "GET", MINE + "/", "patient"),
        (404, "GET", "//", "patient"),
        (404, "GET", "/%FF", "patient"),
        (404, "GET", "/%C8%99", "patient"),
    ],
)
def test_who_may_see_what(status: int, method: str, path: str, who: str | None) -> None:
    """401 without a good token, then 404 for what cannot be an id, then 403."""
    assert status == send(method, path, who=who).status_code


def test_a_body_is_not_read_for_who_may_not_send_it() -> None:
    """403 before the body is looked at; where the body decides, it is valid first."""
    headers = {"If-Match": '"7"'}
    assert send("PATCH", f"/{OTHER}", who="patient", body="{", headers=headers).status_code == 403
    assert send("POST", "", body="{").status_code == 401
    assert send("POST", "", who="notification", body="{").status_code == 403
    assert send("POST", "", who="patient", body="{").status_code == 400
    others = json.dumps({"patient_id": str(OTHER)})
    assert send("POST", "", who="patient", body=others).status_code == 403


def test_a_token_says_how_to_authenticate() -> None:
    """WWW-Authenticate tells a missing token from a bad one (RFC 6750)."""
    assert send("GET", MINE).headers["WWW-Authenticate"] == "Bearer"
    bad = send("GET", MINE, who="nobody").headers["WWW-Authenticate"]
    assert bad == 'Bearer error="invalid_token"'


def test_public_routes_do_not_look_at_tokens() -> None:
    """Whoever comes with an expired token can still log in."""
    body = json.dumps({"patient_id": str(ME)})
    assert send("POST", "/open", who="nobody", body=body).status_code == 200


@pytest.mark.parametrize(
    ("errors", "query"),
    [
        ([("limit", "Input should be less than or equal to 200")], "limit=201"),
        ([("limit", "This parameter may be given only once")], "limit=1&limit=2"),
        ([("colour", "This parameter is not known")], "colour=red"),
        ([(None, "This parameter is not known")], "ana%40example.org=1"),
        ([("cursor", "Characters that are no text")], "cursor=%00"),
        ([("clinic_id", "Input should be a valid UUID")], "clinic_id=secret"),
        (
            [("tooth", "Input should be a valid integer, unable to parse string as an integer")],
            "tooth=1&tooth=x",
        ),
    ],
)
def test_query_parameters_are_named(errors: list[tuple[str | None, str]], query: str) -> None:
    """Unknown, repeated and malformed parameters are 422, each by its name."""
    answer = send("GET", f"?{query}", who="dentist")
    assert answer.json is not None
    assert (422, errors) == (
        answer.status_code,
        [(fault.get("parameter"), fault["detail"]) for fault in answer.json["errors"]],
    )


def test_lists_repeat_their_parameter() -> None:
    """?tooth=11&tooth=12 is a list of two."""
    answer = send("GET", f"?clinic_id={CLINIC}&tooth=11&tooth=12", who="dentist")
    assert answer.json is not None
    assert answer.json["items"][0]["name"] == "[11, 12]"


@pytest.mark.parametrize("query", ["%FF=1", "cursor=%ff", "&".join(["a=1"] * 101)])
def test_query_strings_that_cannot_be_read(query: str) -> None:
    """Not UTF-8, or a flood of parameters: 400."""
    assert send("GET", f"?{query}", who="dentist").status_code == 400


def test_a_route_without_query_takes_none() -> None:
    """A parameter nobody reads is a mistake the caller should know of."""
    assert send("GET", f"{MINE}?verbose=1", who="patient").status_code == 422


paths = st.text(st.sampled_from("/-.%{}abcé\0" + str(ME)), max_size=60)


@given(
    st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PURGE"]),
    paths | st.just(MINE) | st.just("/open"),
    st.text(max_size=30),
    st.binary(max_size=60),
)
def test_nothing_sent_makes_us_fail(method: str, path: str, query: str, body: bytes) -> None:
    """Any method, path, query and body: an answer under 500, in JSON if there is one."""
    log_line = log.correlation_id.get()
    answer = send(
        method, path, who="patient", body=body, query_string=query, headers={"If-Match": '"7"'}
    )
    assert answer.status_code < 500
    # The framework has no route for a path with a line break, and answers by itself.
    assert answer.json is not None or answer.data == b"" or "\n" in unquote(path)
    assert log_line is log.correlation_id.get()


def test_handlers_stay_plain_functions() -> None:
    """A decorated handler can be called in a test as it was written."""
    change = next(route for route in api.routes if route.handler.__name__ == "change").handler
    assert change(UUID(int=1), Allergy(substance="latex"), 7).value.name == "latex"
