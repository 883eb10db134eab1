"""One image's row: made, shown, and changed from state to state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter

from functions.xray.domain.model import Held, State, Told, Xray
from shared.audit import audited, visible, who
from shared.crypto import Subject, Vault
from shared.db import Database, Row, Tx

__all__ = [
    "File",
    "decide",
    "delete",
    "find",
    "held",
    "insert",
    "lock",
    "page",
    "refuse",
    "settle",
    "show",
    "xray",
]

What = Literal["xray", "xray image", "xray preview", "xray thumbnail"]

_told, _claim = TypeAdapter(Told), TypeAdapter(Held)

_SELECT = """
select x.xray_id, x.patient_id, x.version, x.state, x.content_type, x.size, x.sha256, x.time_zone,
       x.modality, x.taken_at, x.width, x.height, x.frames, x.told, x.claim, x.reason, x.refusal,
       x.refusal_detail, x.created_at, x.expires_at,
       exists (select from xray_files f
                where f.xray_id = x.xray_id and f.kind = 'preview') as has_preview,
       k.version as key_version, k.wrapped as key_wrapped
  from xrays x
  left join subject_keys k on k.subject = x.patient_id
"""
# A patient sees what stands in the own record; only staff sees what does not, or not yet.
_READABLE = "(:viewer::uuid is null or (x.patient_id = :viewer::uuid and x.state = 'STORED'))"
_ONE = f"{_SELECT} where x.xray_id = :xray_id and {_READABLE}"
_SHOW = {
    what: audited(_ONE, action="read", what=what, person="patient_id")
    for what in ("xray", "xray image", "xray preview", "xray thumbnail")
}
_PAGE = (
    audited(
        f"""{_SELECT}
 where x.patient_id = :patient_id and {_READABLE} and {visible("x.patient_id")}
   and (:at::timestamptz is null or (x.created_at, x.xray_id) < (:at::timestamptz, :id::uuid))
 order by x.created_at desc, x.xray_id desc limit :limit""",
        action="read",
        what="xray list",
        person="patient_id",
    )
    + " order by created_at desc, xray_id desc"
)
_HELD = (
    audited(
        f"""{_SELECT}
 where x.state = 'HELD' and {visible("x.patient_id")}
   and (:at::timestamptz is null or (x.created_at, x.xray_id) > (:at::timestamptz, :id::uuid))
 order by x.created_at, x.xray_id limit :limit""",
        action="read",
        what="held xrays",
        person="patient_id",
    )
    + " order by created_at, xray_id"
)
_INSERT = """
insert into xrays (xray_id, patient_id, content_type, size, sha256, time_zone, taken_at, told,
                   created_at, expires_at)
values (:xray_id, :patient_id, :content_type, :size, :sha256, :time_zone, :taken_at, :told,
        :created_at, :expires_at)
"""
_SETTLE = """
update xrays
   set version = version + 1, state = :state, modality = :modality, taken_at = :taken_at,
       width = :width, height = :height, frames = :frames, told = :told, claim = :claim,
       recorded_at = case when :state = 'STORED' then now() end
 where xray_id = :xray_id and state = 'PENDING'
returning version, recorded_at
"""
_FILE = """
insert into xray_files (xray_id, kind, patient_id, path, content_type, size, sha256, recorded_at)
values (:xray_id, :kind, :patient_id, :path, :content_type, :size, :sha256, :recorded_at)
"""
_REFUSE = """
update xrays set version = version + 1, state = 'REFUSED', refusal = :refusal,
       refusal_detail = :detail
 where xray_id = :xray_id and state = 'PENDING'
"""
_DECIDE = """
with x as (
  update xrays
     set version = version + 1, state = :state, reason = :reason, claim = null,
         told = case when :state = 'REJECTED' then null else told end,  -- another's, perhaps
         recorded_at = case when :state = 'STORED' then now() else recorded_at end
   where xray_id = :xray_id and version = :version and state = :from
  returning xray_id, version, recorded_at),
f as (
  update xray_files f set recorded_at = x.recorded_at from x where f.xray_id = x.xray_id)
select version from x
"""


@dataclass(frozen=True, slots=True)
class File:
    """An object of an image."""

    kind: Literal["original", "preview", "thumbnail"]
    path: str
    content_type: str
    size: int
    sha256: str


def insert(tx: Tx, key: Subject, made: Xray) -> None:
    """Add the row of an upload that is allowed."""
    tx.run(
        _INSERT,
        xray_id=made.xray_id,
        patient_id=made.patient_id,
        content_type=made.content_type,
        size=made.size,
        sha256=made.sha256,
        time_zone=made.time_zone,
        taken_at=made.taken_at,
        told=_sealed_told(key, made.told),
        created_at=made.created_at,
        expires_at=made.expires_at,
    )


def show(source: Database | Tx, xray_id: UUID, viewer: UUID | None, what: What) -> Row | None:
    """The row for ``xray``, shown to whoever acts: staff, or the patient ``viewer``."""
    return source.one(_SHOW[what], xray_id=xray_id, viewer=viewer, **who())


def find(source: Database | Tx, xray_id: UUID) -> Row | None:
    """The row, shown to nobody."""
    return source.one(_ONE, xray_id=xray_id, viewer=None)


def lock(tx: Tx, xray_id: UUID) -> Row | None:
    """``find`` when nobody else changes the row any more."""
    return tx.one(f"{_ONE} for update of x", xray_id=xray_id, viewer=None)


def page(
    source: Database,
    patient_id: UUID,
    viewer: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Row]:
    """A patient's images, newest first; up to ``limit``."""
    at, identity = after or (None, None)
    return source.all(
        _PAGE, patient_id=patient_id, viewer=viewer, at=at, id=identity, limit=limit, **who()
    )


def held(source: Database, after: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """The images that wait for a decision, oldest first; up to ``limit``."""
    at, identity = after or (None, None)
    return source.all(_HELD, viewer=None, at=at, id=identity, limit=limit, **who())


def settle(tx: Tx, key: Subject, done: Xray, files: Sequence[File]) -> int:
    """Write down what was found in a locked PENDING image and where it lies; its version."""
    row = tx.one(
        _SETTLE,
        xray_id=done.xray_id,
        state=done.state,
        modality=done.modality,
        taken_at=done.taken_at,
        width=done.width,
        height=done.height,
        frames=done.frames,
        told=_sealed_told(key, done.told),
        claim=None if done.claim is None else key.seal("claim", _json(_claim, done.claim)),
    )
    if row is None:
        raise RuntimeError("the image was to be locked")
    for file in files:
        tx.run(
            _FILE,
            xray_id=done.xray_id,
            kind=file.kind,
            patient_id=done.patient_id,
            path=file.path,
            content_type=file.content_type,
            size=file.size,
            sha256=file.sha256,
            recorded_at=row["recorded_at"],
        )
    return int(row["version"])


def refuse(tx: Tx, xray_id: UUID, refusal: str, detail: str) -> bool:
    """Remember why a PENDING image is not accepted; False if it is not PENDING any more."""
    return tx.run(_REFUSE, xray_id=xray_id, refusal=refusal, detail=detail) == 1


def delete(tx: Tx, xray_id: UUID) -> None:
    """Delete the row."""
    tx.run("delete from xrays where xray_id = :id", id=xray_id)


def decide(tx: Tx, key: Subject, seen: Xray, state: State, reason: str | None) -> int | None:
    """Move an image on from the version and state it was ``seen`` in; the new version, or None."""
    found: int | None = tx.value(
        _DECIDE,
        xray_id=seen.xray_id,
        version=seen.version,
        **{"from": seen.state},
        state=state,
        reason=key.seal("reason", reason),
    )
    return found


def xray(row: Row, vault: Vault) -> tuple[Xray, Subject]:
    """The image in a row, and the key of its patient. Raises Unreadable, Unavailable."""
    key = vault.subject(row["patient_id"], row["key_version"], row["key_wrapped"])
    plain: dict[str, Any] = {
        name: row[name]
        for name in Xray.__dataclass_fields__
        if name not in ("told", "claim", "reason")
    }
    told, claim = key.unseal("told", row["told"]), key.unseal("claim", row["claim"])
    return Xray(
        **plain,
        told=Told() if told is None else _told.validate_json(told),
        claim=None if claim is None else _claim.validate_json(claim),
        reason=key.unseal("reason", row["reason"]),
    ), key


def _sealed_told(key: Subject, told: Told) -> bytes | None:
    return key.seal("told", _json(_told, told))


def _json(adapter: Any, value: object) -> str:
    text: str = adapter.dump_json(value).decode()
    return text
