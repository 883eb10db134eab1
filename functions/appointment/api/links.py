"""Answering from an e-mail, without log-in: pages for people, in their language.

Whoever has the link may answer; it says who was meant. A GET shows, and only a POST does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from functions.appointment.api.base import api
from functions.appointment.api.human import HTML, Action, moment, page
from functions.appointment.api.page_texts import TEXTS
from functions.appointment.service import answers, links, reminders
from functions.appointment.service.answers import Offer
from functions.appointment.service.reminders import Reminded
from functions.appointment.service.scope import NOBODY_BOUND
from shared.access import public
from shared.errors import Conflict, Gone, NotFound, Problem, Unavailable
from shared.http import Reply, RequestInfo
from shared.languages import preferred_language
from shared.types import Language

__all__ = ["answer_offer", "answer_reminder", "show_offer", "show_reminder"]

_REFUSED: tuple[tuple[type[Problem], str], ...] = (
    (NotFound, "unknown"),
    (Gone, "gone"),
    (Conflict, "not now"),
    (Unavailable, "later"),
)


@api.get("/links/offers/{token}", access=public(), returns=bytes, media=HTML)
def show_offer(token: str, request: RequestInfo) -> Reply[bytes]:
    """The page of an offer: take the slot or leave it."""

    def shown(language: Language) -> Reply[bytes]:
        return _offer(language, token, answers.show(links.offer_in(token), NOBODY_BOUND))

    return _page(request, shown)


@api.post("/links/offers/{token}/{choice}", access=public(), returns=bytes, media=HTML)
def answer_offer(
    token: str, choice: Literal["accept", "decline"], request: RequestInfo
) -> Reply[bytes]:
    """What the page's buttons do; again, nothing changes."""

    def shown(language: Language) -> Reply[bytes]:
        offer_id = links.offer_in(token)
        if choice == "accept":
            answers.accept(offer_id, NOBODY_BOUND)
        else:
            answers.decline(offer_id, NOBODY_BOUND)
        return _offer(language, token, answers.show(offer_id, NOBODY_BOUND))

    return _page(request, shown)


@api.get("/links/reminders/{token}", access=public(), returns=bytes, media=HTML)
def show_reminder(token: str, request: RequestInfo) -> Reply[bytes]:
    """The page of a reminder: say yes or cancel."""

    def shown(language: Language) -> Reply[bytes]:
        return _visit(language, token, reminders.show(*links.reminder_in(token)))

    return _page(request, shown)


@api.post("/links/reminders/{token}/{choice}", access=public(), returns=bytes, media=HTML)
def answer_reminder(
    token: str, choice: Literal["acknowledge", "cancel"], request: RequestInfo
) -> Reply[bytes]:
    """What the page's buttons do; again, nothing changes."""

    def shown(language: Language) -> Reply[bytes]:
        about = links.reminder_in(token)
        if choice == "acknowledge":
            reminders.acknowledge(*about)
        else:
            reminders.cancel(*about)
        return _visit(language, token, reminders.show(*about))

    return _page(request, shown)


def _offer(language: Language, token: str, offer: Offer) -> Reply[bytes]:
    text = TEXTS[language]
    # What was accepted may have been moved or cancelled since.
    when = moment(language, offer.appointment_at or offer.starts_at, offer.time_zone)
    where = [f"{when} ({offer.time_zone})", offer.clinic_name]
    if offer.status == "OPEN":
        until = moment(language, offer.expires_at, offer.time_zone)
        lines = [*where, text["offer until"].format(until=until)]
        actions = [_action(language, f"offers/{token}", choice) for choice in ("accept", "decline")]
        return page(language, text["offer"], lines, actions)
    if offer.appointment_status == "CANCELLED":
        return page(language, text["cancelled"], where)
    if offer.status == "ACCEPTED":
        return page(language, text["accepted"], where)
    if offer.status == "DECLINED":
        return page(language, text["declined"], [text["still waiting"]])
    return page(language, text["offer over"], [text["still waiting"]], status=410)


def _visit(language: Language, token: str, reminded: Reminded) -> Reply[bytes]:
    text, visit = TEXTS[language], reminded.visit
    when = moment(language, visit.starts_at, visit.time_zone)
    where = [f"{when} ({visit.time_zone})", visit.clinic_name]
    if visit.status == "CANCELLED":
        return page(language, text["cancelled"], where)
    if visit.status != "CONFIRMED":
        return page(language, text["reminder"], [*where, text["nothing"]])
    choices = ["cancel"] if reminded.cancellable else []
    if visit.acknowledged_at is None:
        choices.insert(0, "acknowledge")
    actions = [_action(language, f"reminders/{token}", choice) for choice in choices]
    title = "reminder" if visit.acknowledged_at is None else "acknowledged"
    return page(language, text[title], where, actions)


def _action(language: Language, path: str, choice: str) -> Action:
    return f"{api.prefix}/links/{path}/{choice}", TEXTS[language][choice]


def _page(request: RequestInfo, shown: Callable[[Language], Reply[bytes]]) -> Reply[bytes]:
    """What ``shown`` gives in the reader's language, or a page that says what is wrong."""
    language = preferred_language(request.accept_language) or "en"
    try:
        return shown(language)
    except Problem as problem:
        for kind, key in _REFUSED:
            if isinstance(problem, kind):
                return page(language, TEXTS[language][key], status=problem.status)
        raise
