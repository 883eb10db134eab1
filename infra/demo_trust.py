"""The demo's chapters about trust: who is told what, who looked, and what was known when."""

from __future__ import annotations

from collections.abc import Callable

from infra.story import PATIENTS, Story, tell

__all__ = ["TELLING", "TRUST"]

_NOTIFICATIONS = "/api/notifications"


def notified(story: Story) -> None:
    """The person is told, in the app and by e-mail"""
    story.login("person", story.addresses[-1], story.person["password"])
    expected = sorted(["WELCOME", *["EMAIL_UPDATED"] * (len(story.addresses) - 1)])

    def told() -> bool:
        answer = story.client.call("GET", _NOTIFICATIONS, token=story.tokens["person"])
        return expected == sorted(item["kind"] for item in answer.body.get("items", ()))

    tell(f"{len(expected)} notifications are there", story.until("being notified", told))
    inbox = story.ask("reads the inbox", 200, "GET", _NOTIFICATIONS, by="person").body
    newest = inbox["items"][0]
    tell(newest["title"])
    path = f"{_NOTIFICATIONS}/{newest['id']}/read"
    story.ask("has read the newest", 204, "POST", path, by="person")
    read = story.ask("fewer are unread", 200, "GET", f"{_NOTIFICATIONS}?unread=true", by="person")
    story.must(read.body["unread"] == inbox["unread"] - 1, "the number of unread is wrong")
    _mailed(story)


def _mailed(story: Story) -> None:
    """Where the platform runs on this machine, its outside world can be looked at."""
    if not story.has_mailboxes():
        tell("the e-mails went to mailboxes elsewhere")
        return
    # The welcome, and for every change one to the old address and one to the new.
    expected = 1 + 2 * (len(story.addresses) - 1)

    def mails() -> list[str]:
        return list(story.mails(*story.addresses))

    took = story.until("being written to", lambda: len(mails()) >= expected)
    tell(f"{expected} e-mails have arrived", took)
    texts = mails()
    story.must(len(texts) == expected, f"{len(texts)} e-mails, not {expected}")
    for name in ("first_name", "last_name", "national_id", "phone"):
        shown = [text for text in texts if story.person[name] in text]
        story.must(shown == [], f"an e-mail shows the {name}")
    tell("none of them names the person")


def access_log(story: Story) -> None:
    """The person sees who looked, when and what for"""
    path = f"{PATIENTS}/{story.patient_id}/access-log?limit=100"
    page = story.ask("reads the access log", 200, "GET", path, by="person").body
    items = list(page["items"])
    while page["next_cursor"]:
        older = f"{path}&cursor={page['next_cursor']}"
        page = story.client.call("GET", older, token=story.tokens["person"]).body
        items += page["items"]
    tell(f"{len(items)} accesses, some of them by others")
    others = [entry for entry in items if not entry["actor"]["self"]]
    for entry in others[-4:]:
        actor = entry["actor"]
        who = actor["service"] or " and ".join(actor["roles"])
        tell(f"{entry['at'][11:19]}  {who}: {entry['action']} {entry['what']} ({entry['purpose']})")
    actions = {entry["action"] for entry in others}
    story.must({"search", "write"} <= actions, "what the reception did is not all there")
    story.must(len(others) < len(items), "what the person did is not there")
    story.ask("a stranger does not", 403, "GET", path, by="stranger")


def history(story: Story) -> None:
    """The record as it was: nothing that was ever in it is overwritten"""
    path = f"{PATIENTS}/{story.patient_id}/history"
    page = story.ask("reads the history", 200, "GET", f"{path}?limit=100", by="person").body
    changes = page["items"]
    told = [change["changes"]["email"] for change in changes if change["what"] == "email"]
    story.must(sorted(told) == sorted(story.addresses[1:]), "an address is missing")
    first = min(changes, key=lambda change: change["recorded_at"])
    moment = first["recorded_at"].replace("+", "%2B")
    then = story.ask("the record at the start", 200, "GET", f"{path}?as_of={moment}", by="person")
    was = then.body["profile"]
    story.must(was["email"] == story.addresses[0], "another address than at the start")
    tell(f"{len(changes)} changes; at the start the name was {was['first_name']}")
    story.ask("reception does not", 403, "GET", path, by="reception")


TELLING: list[Callable[[Story], None]] = [notified]
TRUST: list[Callable[[Story], None]] = [access_log, history]
