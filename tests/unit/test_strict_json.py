"""Bodies: what is refused before a model sees it, and messages that quote nothing."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core.core_schema import ErrorType

from shared import errors, strict_json
from tests.http_example import ME, Booking

ADAPTER = TypeAdapter(Booking)


def refusal(raw: bytes) -> errors.Problem:
    """The problem of a body that is not acceptable."""
    with pytest.raises(errors.Problem) as caught:
        strict_json.validate(ADAPTER, raw)
    return caught.value


def faults(**fields: Any) -> list[dict[str, str]]:
    """The ``errors`` of a booking with these fields."""
    raw = json.dumps({"patient_id": str(ME), **fields}).encode()
    problem = refusal(raw)
    assert problem.status == 422
    found: list[dict[str, str]] = problem.extra["errors"]
    return found


@pytest.mark.parametrize(
    ("detail", "raw"),
    [
        ("The body is empty: JSON is expected.", b""),
        ("The body is empty: JSON is expected.", b" \r\n\t"),
        ("The body is not valid JSON: line 2, column 3.", b'{\n  secret: "x"}'),
        ("The body is not valid JSON: line 1, column 9.", b'{"a": 1}secret'),
        ("The body is not valid JSON: line 1, column 8.", b'{"a": "\x00"}'),
        ("The body is not valid JSON: NaN and Infinity are no numbers.", b'{"weight": NaN}'),
        ("The body is not valid JSON: NaN and Infinity are no numbers.", b"[-Infinity]"),
        ("The body is not UTF-8: line 2, column 3.", b'{\n"a\xff": 1}'),
        ("The body is not UTF-8: line 1, column 4.", b'["\xc3\xa9\xed\xa0\x80"]'),
        ("The body names a member of an object twice.", b'{"x": {"a": 1, "a": 1}}'),
        ("The body nests deeper than 50 levels.", b"[" * 51 + b"]" * 51),
        ("The body nests deeper than 50 levels.", b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_what_is_not_json_is_a_bad_request(detail: str, raw: bytes) -> None:
    """400 with a position or a reason, and nothing of the body."""
    problem = refusal(raw)
    assert (400, detail) == (problem.status, problem.detail)


@pytest.mark.parametrize(
    ("pointer", "detail", "raw"),
    [
        ("/note", "Characters that are no text", rb'{"note": "a\u0000"}'),
        ("/note", "Characters that are no text", rb'{"note": "\ud83d"}'),
        ("/x/1", "Characters that are no text", rb'{"x": ["", "\uDE00\uD83D"]}'),
        ("/x", "A name that is no text", rb'{"x": {"\u0000": 1}}'),
        ("/pieces", "A number that does not fit 64 bits", b'{"pieces": 9223372036854775808}'),
        ("/pieces", "A number that does not fit 64 bits", b'{"pieces": -1' + b"0" * 5000 + b"}"),
        ("/weight", "A number that does not fit 64 bits", b'{"weight": 1e999}'),
    ],
)
def test_what_no_database_can_hold_is_unprocessable(pointer: str, detail: str, raw: bytes) -> None:
    """NUL, halves of surrogate pairs and numbers beyond 64 bits: 422 that points to them."""
    problem = refusal(raw)
    assert (422, [{"pointer": pointer, "detail": detail}]) == (
        problem.status,
        problem.extra["errors"],
    )


@pytest.mark.parametrize(
    "note", ["\\u0000", "\\\\u0000", "😀", "a" * 3000, "[" * 60], ids=lambda note: note[:8]
)
def test_what_only_looks_suspicious_passes(note: str) -> None:
    """An escaped backslash before u0000, a whole surrogate pair, brackets in text are fine."""
    body = {"patient_id": str(ME), "note": note, "pieces": 2**63 - 1}
    raw = json.dumps(body).encode()
    assert note == strict_json.validate(ADAPTER, raw).note


def test_fifty_levels_are_accepted() -> None:
    """The limit itself is within the limit."""
    strict_json.parse(b"[" * 50 + b"]" * 50)


def test_every_wrong_field_is_named() -> None:
    """Missing, unknown, badly typed and refused fields each have their pointer."""
    assert refusal(
        b'{"national_id": "bad", "allergies": [{"substance": "x"}, {}], "labels": {"a": null},'
        b' "surprise": 1}'
    ).extra["errors"] == [
        {"pointer": "/patient_id", "detail": "This field is required"},
        {"pointer": "/national_id", "detail": "The checksum does not match"},
        {"pointer": "/allergies/1/substance", "detail": "This field is required"},
        {"pointer": "/labels/a", "detail": "Input should be a valid integer"},
        {"pointer": "/surprise", "detail": "This field is not known"},
    ]


def test_pointers_follow_the_data_not_the_types() -> None:
    """The branch of a union is no part of a JSON pointer."""
    pointers = {
        fault["pointer"] for fault in faults(allergies=[{"substance": "x", "code": "secret"}])
    }
    assert {"/allergies/0/code"} == pointers


def test_a_key_that_may_be_personal_is_not_repeated() -> None:
    """A pointer ends above a name that does not look like a field's."""
    assert [
        fault["pointer"] for fault in faults(labels={"ana@example.org": "x"}, **{"2950101": 1})
    ] == ["/labels", ""]


def test_the_list_of_errors_is_bounded() -> None:
    """A body of a thousand mistakes does not make an answer of a thousand lines."""
    assert len(faults(allergies=[{}] * 1000)) == 50


SECRET = "xyzzy"


@given(
    st.recursive(
        st.just(SECRET) | st.floats() | st.none() | st.integers(-(10**30), 10**30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*Booking.model_fields, "substance"]), inner, max_size=4
            )
        ),
    )
)
def test_no_value_is_ever_quoted(body: Any) -> None:
    """Whatever is wrong with a value, the answer does not contain it."""
    answer = ""
    try:
        strict_json.validate(ADAPTER, json.dumps(body).encode())
    except (errors.BadRequest, errors.Invalid) as problem:
        answer = str(problem.to_dict())
    assert SECRET not in answer


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_answered(raw: bytes) -> None:
    """No body whatsoever ends in anything but a value, a 400 or a 422."""
    with pytest.raises((errors.BadRequest, errors.Invalid)):
        strict_json.validate(ADAPTER, raw)


# Reviewed: their messages hold only what the schema says, or the length of the input.
QUOTE_NOTHING = """
    no_such_attribute json_type needs_python_object recursion_loop recursion_depth_exceeded
    missing frozen_field frozen_instance extra_forbidden invalid_key model_type
    model_attributes_type dataclass_type dataclass_exact_type named_tuple_type
    default_factory_not_called none_required greater_than greater_than_equal less_than
    less_than_equal multiple_of finite_number too_short too_long iterable_type string_type
    string_sub_type string_unicode string_too_short string_too_long string_pattern_mismatch
    string_not_ascii enum dict_type frozen_dict_type ordered_dict_type counter_type
    mapping_type list_type deque_type tuple_type set_type set_item_not_hashable bool_type
    bool_parsing int_type int_parsing int_parsing_size int_from_float float_type
    float_parsing bytes_type bytes_too_short bytes_too_long literal_error
    missing_sentinel_error ellipsis_error date_type date_from_datetime_inexact date_past
    date_future time_type datetime_type datetime_past datetime_future timezone_naive
    timezone_aware time_delta_type frozen_set_type is_instance_of is_subclass_of
    callable_type union_tag_invalid union_tag_not_found arguments_type missing_argument
    unexpected_keyword_argument missing_keyword_only_argument unexpected_positional_argument
    missing_positional_only_argument multiple_argument_values url_type url_too_long
    url_scheme uuid_type uuid_version decimal_type decimal_parsing decimal_max_digits
    decimal_max_places decimal_whole_digits fraction_type fraction_parsing complex_type
    complex_str_parsing
"""


def test_every_message_of_pydantic_has_been_reviewed() -> None:
    """A new pydantic with a new kind of error fails here until somebody has read its message."""
    assert set() == set(get_args(ErrorType)) - set(QUOTE_NOTHING.split()) - strict_json.CUT


def test_a_tag_that_is_unknown_is_not_quoted() -> None:
    """The one message with the input in its middle is rewritten."""
    error = {
        "type": "union_tag_invalid",
        "loc": (),
        "msg": f"Input tag '{SECRET}' found",
        "input": None,
        "ctx": {"tag": SECRET, "expected_tags": "'a', 'b'"},
    }
    assert strict_json.describe(error) == "Must be one of: 'a', 'b'"  # type: ignore[arg-type]
