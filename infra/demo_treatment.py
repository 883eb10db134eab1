"""The demo's chapters about the treatment: chart, X-ray, plan, prescription, and what is done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from infra import images
from infra.client import Answer
from infra.story import PATIENTS, Story, tell

__all__ = ["TREATING"]

_RECORDS, _XRAYS, _TREATMENTS = "/api/dental-records", "/api/xrays", "/api/treatments"
_TOOTH = "36"
_PNG = b"\x89PNG\r\n"


def chart(story: Story) -> None:
    """The dentist charts what is wrong, and looks at the picture"""
    path = f"{_RECORDS}/{story.patient_id}"
    before = datetime.now(UTC).isoformat()
    caries = {"tooth": _TOOTH, "surfaces": ["O", "M"], "code": "K02.1", "note": "Profundă."}
    made = story.ask("caries in 36", 201, "POST", f"{path}/problems", caries, by="dentist")
    story.known["problem_id"] = made.body["problem_id"]
    tell(f"{made.body['system']} {made.body['code']}: {made.body['title']}")
    pulpitis = {"tooth": "26", "code": "K04.0"}
    wrong = story.ask("pulpitis in 26", 201, "POST", f"{path}/problems", pulpitis, by="dentist")
    mistake = {"reason": "Radiografia altui pacient."}
    story.ask(
        "which was a mistake, and stays as one",
        200,
        "POST",
        f"{path}/problems/{wrong.body['problem_id']}/entered-in-error",
        mistake,
        by="dentist",
        headers={"If-Match": wrong.etag},
    )
    drawn = story.ask("the picture", 200, "GET", f"{path}/chart.svg?lang=ro", by="person")
    text = drawn.data.decode()
    story.must(text.startswith("<svg") and "K02.1" in text, "the picture does not show the caries")
    tell(f"{len(drawn.data)} bytes of SVG, its words as text, too")
    then = f"{path}/chart?known_at={quote(before)}"
    was = story.ask("the chart as it was before", 200, "GET", then, by="dentist").body
    story.must(was["problems"] == [], "something was known before it was found")
    past = story.ask(
        "the history of 26", 200, "GET", f"{path}/teeth/26/history", by="dentist"
    ).body["items"]
    kinds = sorted(change["what"] for change in past)
    story.must(kinds == ["diagnosed", "entered_in_error"], f"the history of 26 is {kinds}")
    story.ask("reception does not see the chart", 403, "GET", f"{path}/chart", by="reception")


def xray(story: Story) -> None:
    """An X-ray is taken, uploaded and looked at"""
    who = story.profile().body
    name = f"{who['last_name']}^{who['first_name']}"
    born = who["birth_date"].replace("-", "")
    file = images.dicom(
        patient_id=story.patient_id,
        patient_name=name,
        birth_date=born,
        teeth=[_TOOTH],
        taken_at=datetime.now(UTC),
    )
    done = _upload(story, "the DICOM file", file)
    story.must(done.body["state"] == "STORED", f"the image is {done.body['state']}")
    story.must(done.body["teeth"] == [_TOOTH], "the file's tooth is not known")
    size = f"{done.body['width']} x {done.body['height']}"
    tell(f"{done.body['modality']}, tooth {_TOOTH}, {size} pixels: read from the file")
    path = f"{_XRAYS}/{done.body['xray_id']}"
    pictures = []
    for what, more in (
        ("a preview", ""),
        ("another window: enamel", "?center=3200&width=900"),
        ("another window: bone", "?center=700&width=600"),
    ):
        shown = story.ask(what, 200, "GET", f"{path}/preview{more}", by="dentist").data
        story.must(shown.startswith(_PNG), f"{what} is no PNG")
        pictures.append(shown)
    story.must(len(set(pictures)) == len(pictures), "every window shows the same picture")
    where = story.ask("the person asks for the file", 200, "GET", f"{path}/content", by="person")
    came = story.transfer("downloads it without a token", "GET", where.body["url"])
    story.must(came == file, "it is another file than the one that was uploaded")
    tell(f"{len(came)} bytes, the same as were sent")
    story.ask("a stranger does not even hear of it", 404, "GET", path, by="stranger")
    story.known |= {"xray": path, "file": file}


def misplaced(story: Story) -> None:
    """An X-ray of somebody else does not get into the record"""
    file = images.dicom(
        patient_name="Santoso^Budi", birth_date="19800101", taken_at=datetime.now(UTC)
    )
    done = _upload(story, "somebody else's file", file)
    story.must(done.body["state"] == "HELD", f"the image is {done.body['state']}")
    tell(f"it waits for a decision: {', '.join(done.body['held']['doubts'])}")
    path = f"{_XRAYS}/{done.body['xray_id']}"
    story.ask("the person does not see it", 404, "GET", path, by="person")
    reason = {"reason": "Alt pacient."}
    match = {"If-Match": done.etag}
    story.ask(
        "reception rejects it", 200, "POST", f"{path}/reject", reason, by="reception", headers=match
    )


def _upload(story: Story, what: str, file: bytes) -> Answer:
    """Announce, send and complete ``file``; the last answer."""
    digest = hashlib.sha256(file).hexdigest()
    about = {
        "patient_id": story.patient_id,
        "content_type": "application/dicom",
        "size": len(file),
        "sha256": digest,
    }
    made = story.ask(f"{what} is announced", 201, "POST", _XRAYS, about, by="dentist").body
    to = made["upload"]
    story.transfer("and sent to the signed URL", to["method"], to["url"], file, to["headers"])
    path = f"{_XRAYS}/{made['xray_id']}/complete"
    done = story.ask("it is checked", 200, "POST", path, by="dentist")
    story.must(done.body["sha256"] == digest, "another checksum than that of the file")
    return done


def plan(story: Story) -> None:
    """The dentist offers a plan with its price; the patient agrees to it"""
    filling = {
        "procedure": "Obturație compozit",
        "tooth": _TOOTH,
        "surfaces": ["M", "O"],
        "problem_id": story.known["problem_id"],
        "price": 45000,
    }
    offer = {
        "patient_id": story.patient_id,
        "clinic_id": story.known["clinic_id"],
        "currency": "RON",
        "title": "Carie 36",
        "phases": [{"title": "Astăzi", "items": [filling]}],
    }
    made = story.ask("the plan", 201, "POST", _TREATMENTS, offer, by="dentist")
    story.known["plan"] = path = made.headers["Location"]
    story.known["item_id"] = made.body["phases"][0]["items"][0]["item_id"]
    version = {"plan_version": made.body["plan_version"]}
    story.ask(
        "nobody agrees for the patient", 404, "POST", f"{path}/accept", version, by="stranger"
    )
    agreed = story.ask("the patient agrees", 200, "POST", f"{path}/accept", version, by="person")
    story.must(agreed.body["status"] == "ACCEPTED", f"the plan is {agreed.body['status']}")
    tell(f"to come: {_money(agreed.body, 'to_come')}")


def prescribe(story: Story) -> None:
    """The dentist prescribes, and is stopped by an allergy"""
    path = f"{PATIENTS}/{story.patient_id}/allergies"
    penicillin = {
        "code": "J01C",
        "name": "penicilină",
        "criticality": "high",
        "reaction": "urticarie",
    }
    told = {"status": "LISTED", "allergies": [penicillin]}
    match = {"If-Match": story.profile().etag}
    story.ask("the patient tells of an allergy", 200, "PUT", path, told, by="person", headers=match)
    path = f"{_TREATMENTS}/prescriptions"
    wanted = _prescription(story, "amoxicilină", "J01CA04", "500 mg")
    refused = story.ask("amoxicillin, at once", 409, "POST", path, wanted, by="dentist")
    story.must(refused.body["type"].endswith("allergy-conflict"), "409 for another reason")
    met = refused.body["conflicts"][0]
    story.must(met["code"] == "J01C", "another allergy is named")
    tell(f"speaks against it: {met['substance']} ({met['criticality']}), by {met['basis']}")
    wanted = _prescription(story, "clindamicină", "J01FF01", "300 mg")
    made = story.ask("clindamycin", 201, "POST", path, wanted, by="dentist")
    printed = f"{made.headers['Location']}/print?language=ro"
    text = story.ask("the patient prints it", 200, "GET", printed, by="person").body
    tell(f"{text['drug']} {text['strength']}: {text['directions']}")
    story.ask("reception does not prescribe", 403, "POST", path, wanted, by="reception")


def _prescription(story: Story, name: str, code: str, strength: str) -> dict[str, Any]:
    return {
        "patient_id": story.patient_id,
        "clinic_id": story.known["clinic_id"],
        "drug": {"name": name, "code": code},
        "form": "capsule",
        "strength": strength,
        "dose": {"value": 1, "unit": "capsulă"},
        "route": "oral",
        "timing": {"frequency": 3},
        "duration": {"value": 7},
    }


def treat(story: Story) -> None:
    """The tooth is filled: the chart, the plan and the day know it"""
    path = f"{_RECORDS}/{story.patient_id}"
    filling = {
        "procedure": "FILLING",
        "teeth": [{"tooth": _TOOTH, "surfaces": ["M", "O"]}],
        "materials": [{"name": "Compozit A2", "lot": f"L-{story.run}"}],
        "problem_ids": [story.known["problem_id"]],
        "treatment_item_id": story.known["item_id"],
    }
    story.ask("a filling in 36", 201, "POST", f"{path}/interventions", filling, by="dentist")
    now = story.ask("the chart", 200, "GET", f"{path}/chart", by="person").body
    states = {found["problem_id"]: found["status"] for found in now["problems"]}
    story.must(states[story.known["problem_id"]] == "RESOLVED", "the caries is not resolved")
    lot = f"{_RECORDS}/interventions?lot=L-{story.run}"

    def listed() -> bool:
        found = story.client.call("GET", lot, token=story.tokens["dentist"]).body["items"]
        return [story.patient_id] == [each["patient_id"] for each in found]

    tell("found by the material's lot, for a recall", story.until("being found by lot", listed))
    state: dict[str, Any] = {}

    def completed() -> bool:
        found = story.client.call("GET", story.known["plan"], token=story.tokens["person"])
        state.update(found.body)
        return bool(state["status"] == "COMPLETED")

    tell("the plan is completed", story.until("completing the plan", completed))
    tell(f"so far: {_money(state, 'so_far')}; to come: {_money(state, 'to_come')}")
    story.must(state["costs"]["to_come"] == 0, "there is still something to come")
    visit = story.known["visit"]
    match = {"If-Match": story.client.call("GET", visit, token=story.tokens["reception"]).etag}
    story.ask("the visit is over", 200, "POST", f"{visit}/complete", by="reception", headers=match)


def _money(found: dict[str, Any], which: str) -> str:
    return f"{found['costs'][which] / 100:.2f} {found['currency']}"


TREATING: list[Callable[[Story], None]] = [chart, xray, misplaced, plan, prescribe, treat]
