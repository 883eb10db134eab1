"""The demo's chapters about the calendar: hours, a race for a slot, the waitlist, a reminder."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from infra.client import Answer, Client
from infra.story import AUTH, ZONE, Story, tell

__all__ = ["BOOKING", "REMINDING"]

_API = "/api/appointments"
_LATER = timedelta(minutes=30)
_DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
_MARGIN = timedelta(seconds=10)
"""Enough to book in. Whoever books when it is too late for a reminder gets none."""
_TICK = 90.0  # seconds; the cloud's scheduler knows nothing shorter than a minute


def practice(story: Story) -> None:
    """The clinic gets a dentist, a chair, hours, and something to book"""
    clinic = story.known["clinic_id"]
    here = f"{_API}/clinics/{clinic}"
    email, password = f"dentist.{story.run}@dentalhelp.example", secrets.token_urlsafe(18)
    employee = {
        "email": email,
        "password": password,
        "first_name": "Sânziana",
        "last_name": "Brâncoveanu",
        "roles": [{"role": "DENTIST", "clinic_id": clinic}],
    }
    made = story.ask("a dentist is employed", 201, "POST", f"{AUTH}/users", employee, by="admin")
    story.known["dentist_id"] = dentist = made.body["id"]
    story.login("dentist", email, password)
    story.ask("a chair", 201, "POST", f"{here}/chairs", {"name": "1"}, by="reception")
    kind = {
        "name": "Consultație",
        "duration_minutes": 30,
        "price": 25000,
        "currency": "RON",
        "cutoff_minutes": 120,
    }
    made = story.ask("a type of 30 minutes", 201, "POST", f"{here}/types", kind, by="reception")
    story.known["type_id"] = made.body["type_id"]
    lunch = [{"starts": "13:00", "ends": "13:30"}]
    week = [{"weekday": day, "starts": "08:00", "ends": "20:00", "breaks": lunch} for day in _DAYS]
    hours = {"practitioner_id": dentist, "display_name": "Dr. Brâncoveanu", "hours": week}
    path = f"{here}/practitioners"
    story.ask("the dentist's weekly hours", 201, "POST", path, hours, by="reception")
    # Whenever this is told, the dentist is there.
    now = datetime.now(ZoneInfo(ZONE)).replace(tzinfo=None, microsecond=0)
    extra = {
        "kind": "EXTRA_HOURS",
        "practitioner_id": dentist,
        "starts": (now - timedelta(hours=1)).isoformat(),
        "ends": (now + timedelta(hours=8)).isoformat(),
    }
    path = f"{here}/exceptions"
    story.ask("and some that are extra today", 201, "POST", path, extra, by="reception")
    path = f"{here}/settings"
    found = story.client.call("GET", path, token=story.tokens["admin"])
    wanted = {"offer_minutes": 30, "reminder_hours": [1]}
    match = {"If-Match": found.etag}
    what = "patients are reminded an hour before"
    story.ask(what, 200, "PUT", path, wanted, by="admin", headers=match)


def race(story: Story) -> None:
    """Two people want the same slot at once; one gets it, the other hears of three more"""
    question = {
        "practitioner_id": story.known["dentist_id"],
        "type_id": story.known["type_id"],
        "from": _moment(timedelta(days=2)),
        "to": _moment(timedelta(days=4)),
    }
    path = f"{_API}/slots?{'&'.join(f'{name}={quote(value)}' for name, value in question.items())}"
    free = story.ask("free slots in two days", 200, "GET", path, by="person").body["items"]
    starts_at = _with_a_next(slot["starts_at"] for slot in free)
    tell(f"{len(free)} are free; both want the one at {starts_at}")
    answers = _at_once(story, starts_at)
    found = sorted(answer.status for answer in answers.values())
    story.must(found == [201, 409], f"the two were answered {found}")
    for who, answer in answers.items():
        tell(f"{who} books", answer.seconds, answer.status)
        if answer.status == 201:
            story.known |= {"winner": who, "booked": answer.body, "etag": answer.etag}
        else:
            story.known["loser"] = who
            story.must(answer.body["type"].endswith("slot-taken"), "409 for another reason")
            others = [slot["starts_at"][5:16].replace("T", " ") for slot in answer.body["next"]]
            story.must(len(others) == 3, f"{len(others)} slots are named instead")
            tell(f"instead: {', '.join(others)} (UTC)")


def _with_a_next(free: Iterable[str]) -> str:
    """One of these times after which there is room to move to."""
    times = {datetime.fromisoformat(starts_at): starts_at for starts_at in free}
    fit = [text for time, text in times.items() if time + _LATER in times]
    return fit[len(fit) // 2]


def _at_once(story: Story, starts_at: str) -> dict[str, Answer]:
    """The person and the stranger book it, each on a connection of their own."""
    ready, answers = threading.Barrier(2), dict[str, Answer]()
    ids = {"person": story.patient_id, "stranger": story.known["stranger_id"]}

    def book(who: str) -> None:
        client = Client(story.client.url)
        body = _order(story, ids[who], starts_at)
        client.call("GET", "/services.json")
        ready.wait(timeout=120)
        answers[who] = client.call("POST", _API, body, token=story.tokens[who])
        client.close()

    threads = [threading.Thread(target=book, args=(who,)) for who in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    story.must(len(answers) == len(ids), "one of the two was not answered")
    return answers


def waitlist(story: Story) -> None:
    """Who came too late waits, and takes the slot when it is given back"""
    winner, loser = story.known["winner"], story.known["loser"]
    booked = story.known["booked"]
    whose = {"person": story.patient_id, "stranger": story.known["stranger_id"]}
    wish = {
        "patient_id": whose[loser],
        "clinic_id": booked["clinic_id"],
        "type_id": booked["type_id"],
        "windows": [{"starts_at": booked["starts_at"], "ends_at": booked["ends_at"]}],
    }
    made = story.ask(f"{loser} waits for it", 201, "POST", f"{_API}/waitlist", wish, by=loser)
    path = f"{_API}/{booked['appointment_id']}/cancel"
    match = {"If-Match": story.known["etag"]}
    story.ask(f"{winner} cancels", 200, "POST", path, {}, by=winner, headers=match)
    path = made.headers["Location"]

    def offered() -> bool:
        found = story.client.call("GET", path, token=story.tokens[loser])
        story.known["offer"] = found.body["offer"]
        return found.body["offer"] is not None

    tell("the slot is offered", story.until("being offered the slot", offered))
    tell(f"it is held until {story.known['offer']['expires_at'][11:16]} (UTC)")
    address = {"person": story.addresses[-1], "stranger": story.known["stranger_address"]}[loser]
    link = _link(story, "offers", address)
    if link is None:
        accept = f"{_API}/offers/{story.known['offer']['offer_id']}/accept"
        story.ask(f"{loser} accepts", 200, "POST", accept, by=loser)
    else:
        story.ask("the link shows it, and does nothing", 200, "GET", link)
        story.ask(f"{loser} accepts by it, without log-in", 200, "POST", f"{link}/accept")
        story.ask("by it again: nothing changes", 200, "POST", f"{link}/accept")
    found = story.ask("the wish is fulfilled", 200, "GET", path, by=loser).body
    story.must(found["status"] == "BOOKED", f"the wish is {found['status']}")
    story.known["slot"] = f"{_API}/{found['appointment_id']}"


def calendar(story: Story) -> None:
    """The appointment is in the calendar, and moves there when it is moved"""
    path, who = story.known["slot"], story.known["loser"]
    before = story.ask("the invitation", 200, "GET", f"{path}/invite.ics", by=who)
    was = _lines(before)
    story.must(was.get("METHOD") == "REQUEST", "the invitation is no REQUEST")
    tell(f"{was['DTSTART']}, SEQUENCE {was['SEQUENCE']}")
    made = story.ask("an address of a calendar", 201, "POST", f"{_API}/calendar", by=who)
    feed = urlsplit(made.body["url"]).path
    shown = story.ask("followed without log-in", 200, "GET", feed)
    story.must(_lines(shown)["UID"] == was["UID"], "the appointment is not in the calendar")
    there = story.ask("reception looks at it", 200, "GET", path, by="reception")
    later = datetime.fromisoformat(there.body["starts_at"]) + _LATER
    body, match = {"starts_at": later.isoformat()}, {"If-Match": there.etag}
    story.ask(
        "and moves it", 200, "POST", f"{path}/reschedule", body, by="reception", headers=match
    )
    now = _lines(story.ask("the calendar, again", 200, "GET", feed))
    tell(f"{now['DTSTART']}, SEQUENCE {now['SEQUENCE']}")
    story.must(now["UID"] == was["UID"], "it is another appointment in the calendar")
    story.must(now["DTSTART"] != was["DTSTART"], "it is not moved in the calendar")
    story.must(int(now["SEQUENCE"]) > int(was["SEQUENCE"]), "its SEQUENCE has not risen")


def today(story: Story) -> None:
    """Reception books two visits of today, of which one is soon to be reminded of"""
    soon = (datetime.now(UTC) + timedelta(hours=1) + _MARGIN).replace(microsecond=0)
    for name, starts_at in (("control", soon), ("visit", soon + timedelta(hours=1))):
        body = _order(story, story.patient_id, starts_at.isoformat())
        what = f"the {name} at {starts_at:%H:%M} (UTC)"
        made = story.ask(what, 201, "POST", _API, body, by="reception")
        story.known[name] = made.headers["Location"]
        story.must(made.body["status"] == "CONFIRMED", f"the {name} is {made.body['status']}")
    day = datetime.now(ZoneInfo(ZONE)).date()
    path = f"{_API}/day?clinic_id={story.known['clinic_id']}&day={day}"
    found = story.ask("the clinic's day", 200, "GET", path, by="dentist").body
    story.must(len(found["practitioners"]) == 1, "the dentist is not at work today")
    path = f"{_API}?patient_id={story.patient_id}&from={quote(_moment(timedelta()))}"
    listed = story.ask("what the person has to come", 200, "GET", path, by="person").body["items"]
    ids = {f"{_API}/{visit['appointment_id']}" for visit in listed}
    story.must({story.known["control"], story.known["visit"]} <= ids, "a visit is not listed")


def check_in(story: Story) -> None:
    """The patient comes"""
    path = story.known["visit"]
    etag = story.client.call("GET", path, token=story.tokens["reception"]).etag
    match = {"If-Match": etag}
    story.ask(
        "the patient may not check in", 403, "POST", f"{path}/check-in", by="person", headers=match
    )
    done = story.ask(
        "reception checks in", 200, "POST", f"{path}/check-in", by="reception", headers=match
    )
    story.must(done.body["status"] == "CHECKED_IN", f"the visit is {done.body['status']}")


def remind(story: Story) -> None:
    """The patient is reminded of the other visit, once, and says yes by the link"""
    path = "/api/notifications?limit=100"

    def reminders() -> int:
        answer = story.client.call("GET", path, token=story.tokens["person"])
        return sum(item["kind"] == "APPOINTMENT_REMINDER" for item in answer.body["items"])

    tell("is reminded", story.until("being reminded", lambda: reminders() > 0, _TICK))
    link = _link(story, "reminders", story.addresses[-1])
    if link is not None:
        story.ask("the link shows it, and does nothing", 200, "GET", link)
        story.ask("says yes by it, without log-in", 200, "POST", f"{link}/acknowledge")
        seen = story.ask("reception sees it", 200, "GET", story.known["control"], by="reception")
        story.must(seen.body["acknowledged_at"] is not None, "the yes has not arrived")
    story.must(reminders() == 1, "there is more than one reminder")


def _order(story: Story, patient_id: str, starts_at: str) -> dict[str, str]:
    return {
        "patient_id": patient_id,
        "practitioner_id": story.known["dentist_id"],
        "type_id": story.known["type_id"],
        "starts_at": starts_at,
    }


def _moment(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).isoformat(timespec="seconds")


def _link(story: Story, kind: str, address: str) -> str | None:
    """The path of a link of this kind in an e-mail; None where no mailbox can be looked into."""
    if not story.has_mailboxes():
        tell("the link is in a mailbox elsewhere")
        return None
    wanted = re.compile(rf"https?://\S+({_API}/links/{kind}/[\w.~-]+)")
    found: list[str] = []

    def arrived() -> bool:
        found[:] = [hit[1] for text in story.mails(address) if (hit := wanted.search(text))]
        return bool(found)

    tell("an e-mail brings a link", story.until("the e-mail with the link", arrived))
    return found[0]


def _lines(answer: Answer) -> dict[str, str]:
    """The properties of a calendar with one event (RFC 5545), without their parameters."""
    text = answer.data.decode().replace("\r\n ", "")
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.partition(";")[0]: value for name, _, value in pairs}


BOOKING: list[Callable[[Story], None]] = [practice, race, waitlist, calendar, today, check_in]
REMINDING: list[Callable[[Story], None]] = [remind]
