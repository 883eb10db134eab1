"""Every text in every language: complete, escaped, the same in both parts, about nobody."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import UndefinedError

from functions.notification.domain.choices import Content
from functions.notification.domain.notices import MAIL_ONLY, NOTICES
from functions.notification.service import texts
from shared.types import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
NOTICE = {notice.kind: notice for notice in NOTICES}
KINDS = tuple(NOTICE)
WITH_LINK = tuple(kind for kind in KINDS if "link" in NOTICE[kind].facts)
LINK = "https://clinic.example/_local/invitation#token=a.b-c_d&x=%20'\"<y>"
EVERY = list(product(LANGUAGES, KINDS))
FOLDER = Path(texts.__file__).parents[1] / "templates"


class _Shown(HTMLParser):
    """What a reader sees of HTML, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._title = tag == "title"
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._title:
            self.text.append(data.strip())
        self._title = False


# What a notice of each may know; a fact that is not here must be added.
FACTS = {
    "cancelled_by": "CLINIC",
    "clinic_id": "0199aaaa-0000-7000-8000-00000000c11c",
    "expires_at": "2026-01-05T09:30:00+00:00",
    "invite": "BEGIN:VCALENDAR",
    "link": LINK,
    "previous_starts_at": "2025-12-29T08:00:00+00:00",
    "reason": "Mon <b>& Fri</b> are full.",
    "starts_at": "2026-01-05T08:00:00+00:00",
    "time_zone": "Europe/Bucharest",
}


def _facts(kind: str, **more: str) -> dict[str, str]:
    return {name: FACTS[name] for name in NOTICE[kind].facts} | more


def _mail(kind: str, language: Language, **more: str) -> Content:
    return texts.mail(kind, language, _facts(kind, **more))


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_every_mail_is_complete(language: Language, kind: str) -> None:
    """Subject, text and HTML are there, with nothing of the template's own language left."""
    mail = _mail(kind, language)
    assert 10 < len(mail.subject) < 70
    assert "\n" not in mail.subject
    assert mail.text.endswith("\n")
    assert 3 <= mail.text.count("\n\n")
    for part in (mail.subject, mail.text, mail.html):
        assert [] == re.findall(r"\{\{|\}\}|\{%|%\}|\{#|None|undefined", part)
    assert f'<html lang="{language}">' in mail.html


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_both_parts_say_the_same(language: Language, kind: str) -> None:
    """Whoever reads the plain text misses nothing that stands in the HTML."""
    mail = _mail(kind, language)
    shown = _Shown(mail.html)
    paragraphs = mail.text.strip().split("\n\n")
    label = [texts.action(kind, language)] if kind in WITH_LINK else []
    assert sorted([mail.subject, *paragraphs, *label]) == sorted(shown.text)


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_the_link_stands_in_both_parts(language: Language, kind: str) -> None:
    """Where there is a link both parts carry it whole, escaped where it must be."""
    mail = _mail(kind, language)
    wanted = [LINK] if kind in WITH_LINK else []
    assert wanted == _Shown(mail.html).links
    assert wanted == [line for line in mail.text.splitlines() if "://" in line]
    assert {"html", "head", "meta", "title", "body", "div", "h1", "p"} == _Shown(mail.html).tags - {
        "a"
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_missing_link_is_an_error(language: Language) -> None:
    """An invitation without its link is not sent as if it had one."""
    with pytest.raises(UndefinedError):
        texts.mail("INVITATION", language, {})


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_every_text_in_the_app_is_one_line(language: Language, kind: str) -> None:
    """A title and a sentence or two, which need no layout."""
    shown = {name: fact for name, fact in _facts(kind).items() if name not in MAIL_ONLY}
    title, text = texts.in_app(kind, language, shown)
    assert title == _mail(kind, language).subject
    assert 30 < len(text) < 300
    assert text == " ".join(text.split())
    assert "." == text[-1]


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_the_clinic_is_named_where_it_is_known(language: Language, kind: str) -> None:
    """Both parts and the text in the app say which clinic it is, escaped where it must be."""
    if "clinic_id" not in NOTICE[kind].facts:
        return
    mail = _mail(kind, language, clinic="Smith & <Sons>")
    assert "Smith & <Sons>" in mail.text
    assert "Smith &amp; &lt;Sons&gt;" in mail.html
    assert (
        "Smith & <Sons>" in texts.in_app(kind, language, _facts(kind, clinic="Smith & <Sons>"))[1]
    )
    assert "Smith" not in mail.subject


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_the_time_of_an_appointment_stands_out(language: Language, kind: str) -> None:
    """A paragraph that begins with the time is a box of its own, on every kind that has one."""
    boxes = _mail(kind, language).html.count("border-left")
    assert ("starts_at" in NOTICE[kind].facts) == bool(boxes)
    assert boxes <= 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_cancelled_makes_a_difference(language: Language) -> None:
    """The patient, the clinic and nobody's confirmation are told apart, in mails and in the app."""
    facts = [
        _facts("APPOINTMENT_CANCELLED", cancelled_by=by) for by in ("PATIENT", "CLINIC", "SYSTEM")
    ]
    assert 3 == len({texts.mail("APPOINTMENT_CANCELLED", language, known).text for known in facts})
    assert 3 == len({texts.in_app("APPOINTMENT_CANCELLED", language, known) for known in facts})


def test_languages_differ() -> None:
    """No text was copied from one language into another and forgotten."""
    for kind in KINDS:
        said = [texts.in_app(kind, language, _facts(kind)) for language in LANGUAGES]
        mails = [_mail(kind, language) for language in LANGUAGES]
        assert len(LANGUAGES) == len({text for _, text in said})
        assert len(LANGUAGES) == len({mail.subject for mail in mails})
        paragraphs = [set(mail.text.split("\n\n")) - {LINK} for mail in mails]
        assert all(not a & b for a, b in pairwise(paragraphs))


def test_romanian_has_its_letters() -> None:
    """Romanian is written with comma-below s and t, never the cedilla that looks like it."""
    for kind in KINDS:
        mail = _mail(kind, "ro")
        assert re.search(r"[ăâîșț]", mail.text)
        assert not re.search(r"[şţŞŢ]", mail.subject + mail.text)


@pytest.mark.parametrize(("language", "kind"), EVERY)
def test_no_text_is_clinical(language: Language, kind: str) -> None:
    """A mail is read in passing, and by others: it says nothing of teeth, illness or treatment."""
    clinical = (
        r"\b(tooth|teeth|treatment|diagnos\w*|allerg\w*|medic\w*|anamnes\w*|"
        r"dinte|dinți|tratament\w*|alergi\w*|boal\w*|gigi|perawatan|alergi|penyakit|obat)\b"
    )
    mail = _mail(kind, language)
    assert [] == re.findall(clinical, f"{mail.subject} {mail.text}", re.IGNORECASE)


def test_there_is_a_file_for_every_kind_and_nothing_else() -> None:
    """A kind without its template, or a template without its kind, is a mistake."""
    expected = {f"{language}/{kind.lower()}.txt" for language, kind in EVERY} | {"layout.html"}
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.*")}
    assert expected == found
