"""The demo's chapters about a person's end in the group: export, erasure, receipt, what is left."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import jwt

from infra.story import AUTH, PATIENTS, Story, tell

__all__ = ["ENDING"]

_PATIENCE = 180.0  # seconds; an archive is made by a job
_PURPOSE = {"X-Purpose-Of-Use": "HLEGAL"}


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
        story.must(rows > 0, f"{service} knows nothing")
        tell(f"{service}: {rows} rows, SHA-256 {total[:16]}... as stated")
    known = json.dumps(found["parts"], ensure_ascii=False)
    for name in ("national_id", "last_name"):
        story.must(story.person[name] in known, f"the {name} is not readable")
    for words in ("urticarie", "Profundă.", "Obturație compozit", "clindamicină"):
        story.must(words in known, f"{words} is not in it")
    story.ask("a stranger does not", 403, "GET", path, by="stranger")


def archive(story: Story) -> None:
    """And once more as an archive, with the original files"""
    body = {"patient_id": story.patient_id}
    made = story.ask("asks for it", 202, "POST", f"{AUTH}/exports", body, by="person")
    path = made.headers["Location"]
    state: dict[str, Any] = {}

    def ready() -> bool:
        state.update(story.client.call("GET", path, token=story.tokens["person"]).body)
        story.must(state["state"] in ("QUEUED", "RUNNING", "READY"), f"it is {state['state']}")
        return bool(state["state"] == "READY")

    tell("is READY", story.until("making the archive", ready, _PATIENCE))
    data = story.transfer("downloads it without a token", "GET", state["url"])
    story.must(len(data) == state["size"], f"{len(data)} bytes, not {state['size']}")
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        members = json.loads(found.read("manifest.json"))["members"]
        story.must(
            {*members, "manifest.json"} == set(found.namelist()), "the manifest is of other files"
        )
        for name, stated in members.items():
            total = hashlib.sha256(found.read(name)).hexdigest()
            story.must(total == stated["sha256"], f"{name}: another checksum")
        files = [found.read(name) for name in members if name.startswith("files/xray/")]
    tell(f"{len(members)} files in {len(data)} bytes, each with the SHA-256 of the manifest")
    story.must(story.known["file"] in files, "the X-ray is not in it as it was uploaded")
    tell("the X-ray is in it, as it was uploaded")


def erase(story: Story) -> None:
    """The person wants to be forgotten"""
    body = {"patient_id": story.patient_id}
    answer = story.ask("asks for it", 202, "POST", f"{AUTH}/erasures", body, by="person")
    path = answer.headers["Location"]
    state: dict[str, Any] = {}

    def done() -> bool:
        state.update(story.client.call("GET", path).body)
        story.must(state["status"] in ("RUNNING", "HELD", "COMPLETED"), f"it is {state['status']}")
        return bool(state["status"] != "RUNNING" and state["receipt"])

    tell("every service has answered", story.until("being erased", done))
    services = set(story.client.call("GET", "/services.json").body)
    story.must(set(state["services"]) == services, "a service was not asked")
    for service, part in state["services"].items():
        tell(f"{service}: {part['state']}, {sum(part['erased'].values())} rows")
        for held in part["held"]:
            tell(f"  held: {held['what']} until {held['until'][:10]} ({held['reason']})")
    again = story.ask("asked for again", 202, "POST", f"{AUTH}/erasures", body, by="admin")
    story.must(again.body == answer.body, "the second erasure is another one")
    story.erasure_id, story.receipt = answer.body["erasure_id"], state["receipt"]
    story.known["held"] = {name for name, part in state["services"].items() if part["held"]}


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
        state = "HELD" if service in story.known["held"] else "ERASED"
        story.must(part["state"] == state, f"{service} is {part['state']}")
    tell(f"signed for {len(claims['services'])} services")
    tell(f"what is held, it says of {', '.join(sorted(story.known['held'])) or 'none'}")
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
    for who in ("reception", "dentist"):
        story.ask(f"{who} sees no profile", 404, "GET", profile, by=who)
    story.ask("nor is there a history", 404, "GET", f"{profile}/history", by="admin")
    visit = story.known["control"]
    story.ask("the visit to come is gone", 404, "GET", visit, by="reception")
    log = story.ask("who looked is still known", 200, "GET", f"{profile}/access-log", by="admin")
    story.must(log.body["items"] != [], "the access log is gone, too")


def left(story: Story) -> None:
    """Nothing is left but what a law holds, for an administrator who says what for"""
    if "dental_records" in story.known["held"]:
        path = f"/api/dental-records/{story.patient_id}/chart"
        story.ask("the dentist sees no chart", 404, "GET", path, by="dentist")
        story.ask("nor does the administrator", 403, "GET", path, by="admin")
        found = story.ask(
            "but who says what for does", 200, "GET", path, by="admin", headers=_PURPOSE
        )
        story.must(found.body["problems"] != [], "the chart is not held")
    path = f"{AUTH}/exports/{story.patient_id}"
    parts = story.ask("an export of it", 200, "GET", path, by="admin", headers=_PURPOSE).body[
        "parts"
    ]
    for service, part in sorted(parts.items()):
        tables = sorted(name for name, rows in part.items() if rows)
        expected = (
            ["erasures"] if service == "auth" else tables if service in story.known["held"] else []
        )
        story.must(tables == expected, f"there is something left in {', '.join(tables)}")
        if tables:
            tell(f"{service}: {', '.join(tables)}")
    text = json.dumps(parts, ensure_ascii=False)
    names = [story.person[name] for name in ("last_name", "national_id", "phone")]
    shown = [name for name in (*names, *story.addresses) if name in text]
    story.must(shown == [], "what is held names the person")
    tell("nothing of it names the person")


ENDING: list[Callable[[Story], None]] = [export, archive, erase, receipt, gone, left]
