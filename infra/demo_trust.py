"""The demo's chapters about trust: who is told what, who looked, what is known, and its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import jwt

from infra.story import AUTH, PATIENTS, Story, tell

__all__ = ["CHAPTERS"]

_NOTIFICATIONS = "/api/notifications"
_MAILS = "/_local/mail"


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
    if story.client.call("GET", f"{_MAILS}.json").status != 200:
        tell("the e-mails went to mailboxes elsewhere")
        return

    def mails() -> list[dict[str, Any]]:
        items = story.client.call("GET", f"{_MAILS}.json").body["items"]
        return [mail for mail in items if set(mail["to"]) & set(story.addresses)]

    # The welcome, and for every change one to the old address and one to the new.
    expected = 1 + 2 * (len(story.addresses) - 1)
    took = story.until("being written to", lambda: len(mails()) >= expected)
    tell(f"{expected} e-mails have arrived", took)
    story.must(len(mails()) == expected, f"{len(mails())} e-mails, not {expected}")
    for mail in mails():
        text = story.client.call("GET", f"{_MAILS}/{mail['id']}.json").body["text"]
        for name in ("first_name", "last_name", "national_id", "phone"):
            story.must(story.person[name] not in text, f"an e-mail shows the {name}")
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


def export(story: Story) -> None:
    """The person takes along everything that is known"""
    path = f"{AUTH}/exports/{story.patient_id}"
    found = story.ask("exports it", 200, "GET", path, by="person").body
    story.must(set(found["parts"]) == set(found["manifest"]["sums"]), "a part has no checksum")
    for service, part in found["parts"].items():
        # RFC 8785, as far as texts and whole numbers need it.
        text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        total = hashlib.sha256(text.encode()).hexdigest()
        story.must(total == found["manifest"]["sums"][service], f"{service}: another checksum")
        rows = sum(map(len, part.values()))
        tell(f"{service}: {rows} rows, SHA-256 {total[:16]}... as stated")
    known = json.dumps(found["parts"], ensure_ascii=False)
    for name in ("national_id", "last_name"):
        story.must(story.person[name] in known, f"the {name} is not readable")
    story.ask("a stranger does not", 403, "GET", path, by="stranger")


def erase(story: Story) -> None:
    """The person wants to be forgotten"""
    body = {"patient_id": story.patient_id}
    answer = story.ask("asks for it", 202, "POST", f"{AUTH}/erasures", body, by="person")
    path = answer.headers["Location"]
    state: dict[str, Any] = {}

    def done() -> bool:
        state.update(story.client.call("GET", path).body)
        story.must(state["status"] in ("RUNNING", "COMPLETED"), f"it is {state['status']}")
        return bool(state["status"] == "COMPLETED" and state["receipt"])

    tell("is erased in every service", story.until("being erased", done))
    for service, part in state["services"].items():
        tell(f"{service}: {part['state']}, {sum(part['erased'].values())} rows")
    again = story.ask("asked for again", 202, "POST", f"{AUTH}/erasures", body, by="admin")
    story.must(again.body == answer.body, "the second erasure is another one")
    story.erasure_id, story.receipt = answer.body["erasure_id"], state["receipt"]


def receipt(story: Story) -> None:
    """Anybody can check the receipt, and nobody learns who it was"""
    keys = story.ask("the public keys", 200, "GET", f"{AUTH}/jwks.json").body["keys"]
    kid = jwt.get_unverified_header(story.receipt)["kid"]
    key = next(jwt.PyJWK(each).key for each in keys if each["kid"] == kid)
    try:
        claims = jwt.decode(story.receipt, key, algorithms=["ES256"])
    except jwt.InvalidTokenError as fault:
        claims = {}
        story.must(False, f"the receipt is not valid: {fault}")
    story.must(claims["jti"] == story.erasure_id, "the receipt is for another erasure")
    for service, part in claims["services"].items():
        story.must(part["state"] == "ERASED", f"{service} is {part['state']}")
    tell(f"signed for {', '.join(claims['services'])}")
    tell(f"backups expire on {claims['backups_expire_at'][:10]}")
    secrets = [story.person[name] for name in ("first_name", "last_name", "national_id")]
    for secret in (*secrets, story.patient_id, *story.addresses):
        story.must(secret not in str(claims), "the receipt names the person")
    head, body, signature = story.receipt.split(".")
    forged = f"{head}.{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}"
    try:
        jwt.decode(forged, key, algorithms=["ES256"])
    except jwt.InvalidTokenError:
        tell("a changed receipt is not valid")
    else:
        story.must(False, "a changed receipt is valid")


def gone(story: Story) -> None:
    """Nobody remembers the person"""
    login = {"email": story.addresses[-1], "password": story.person["password"]}
    story.ask("cannot log in", 401, "POST", f"{AUTH}/login", login)
    for what, question in {
        "by national id": {"national_id": story.person["national_id"]},
        "by e-mail address": {"email": story.addresses[-1]},
        "by name": {"query": story.person["last_name"]},
    }.items():
        path = f"{PATIENTS}/search"
        found = story.ask(f"looked for {what}", 200, "POST", path, question, by="reception")
        story.must(found.body["items"] == [], f"{what}: somebody was found")
    profile = f"{PATIENTS}/{story.patient_id}"
    story.ask("there is no profile", 404, "GET", profile, by="reception")
    story.ask("nor a history", 404, "GET", f"{profile}/history", by="admin")
    path = f"{AUTH}/exports/{story.patient_id}"
    left = story.ask("an export, once more", 200, "GET", path, by="admin").body["parts"]
    tables = [name for part in left.values() for name, rows in part.items() if rows]
    story.must(tables == ["erasures"], f"there is something left in {', '.join(tables)}")
    tell("nothing is left but the erasure itself")
    log = story.ask("who looked is still known", 200, "GET", f"{profile}/access-log", by="admin")
    story.must(log.body["items"] != [], "the access log is gone, too")


CHAPTERS: list[Callable[[Story], None]] = [
    notified,
    access_log,
    history,
    export,
    erase,
    receipt,
    gone,
]
