"""Who read or wrote whose personal data: one row for each person, in the same statement or
transaction, so that there is no access without its row and no row without its access.

The rows hold ids and words of the program, nothing personal, and outlive the person's erasure.
The runtime role may add and read them, nothing else; shared/audit_seals.py makes a change by
anybody else show.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from shared import log
from shared.contracts.gdpr import ERASER
from shared.db import Database, Row, Tx
from shared.errors import Invalid
from shared.identity import EVERYWHERE, Caller
from shared.wire import Statement

__all__ = [
    "PURPOSES",
    "Acting",
    "Action",
    "accesses",
    "acting",
    "acting_as_service",
    "acting_in",
    "audited",
    "entry",
    "lifted",
    "lifted_for",
    "record",
    "visible",
    "who",
]

Action = Literal["read", "search", "write", "create", "erase", "export", "redrive", "discard"]

PURPOSES = frozenset({"TREAT", "ETREAT", "HPAYMT", "HOPERAT", "PATRQT", "HLEGAL", "PUBHLTH"})
"""HL7 v3 PurposeOfUse: treatment, emergency treatment, payment, operations, the patient's own
request, legal reasons, public health."""

_OWN = "PATRQT"
_PURPOSE = "case when {person} = :audit_actor::uuid then :audit_own else :audit_purpose end"
_COLUMNS = "actor, service, roles, person_id, action, what, purpose, correlation_id"
_VALUES = (
    ":audit_actor::uuid, :audit_service::text, :audit_roles::text[], {person},"
    f" '{{action}}', '{{what}}', {_PURPOSE}, :audit_correlation::text"
)
_ENTRY_PURPOSE = _PURPOSE.format(person=":audit_person::uuid")
_ENTRY = f"""
insert into audit_log ({_COLUMNS})
values (:audit_actor, :audit_service, :audit_roles, :audit_person, :audit_action, :audit_what,
        {_ENTRY_PURPOSE}, :audit_correlation)
"""  # nosec B608

# Who looks is a row, too: in the same statement, so that it is not among what is shown.
_ACCESSES = f"""
with noted as ({_ENTRY})
select id, at, actor, service, roles, action, what, purpose
  from audit_log
 where person_id = :audit_person and (:before::bigint is null or id < :before)
 order by id desc limit :limit
"""  # nosec B608


@dataclass(frozen=True, slots=True)
class _Actor:
    """``own``: the purpose of looking at one's own data; ``purpose``: at anybody else's.
    ``lifted``: what is held about people who were erased is shown, too."""

    person: UUID | None
    service: str | None
    roles: tuple[str, ...]
    purpose: str
    own: str
    lifted: bool = False


# A tool on the command line: nobody has identified themselves.
_NOBODY = _Actor(None, None, (), "HOPERAT", _OWN)
_actor: ContextVar[_Actor] = ContextVar("audit_actor", default=_NOBODY)


class Acting:
    """The block in which somebody acts."""

    __slots__ = ("_actor", "_token")

    def __init__(self, actor: _Actor) -> None:
        self._actor = actor
        self._token: Token[_Actor] | None = None

    def __enter__(self) -> Self:
        self._token = _actor.set(self._actor)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _actor.reset(self._token)


def acting(
    caller: Caller, *, purpose: str | None = None, on_behalf_of: UUID | None = None
) -> Acting:
    """In this block ``caller`` acts, for ``purpose`` (of PURPOSES).

    By default people ask for their own data themselves, dentists treat, all others operate.
    ``on_behalf_of`` is the person for whom a service calls; of another caller it says nothing.
    An ADMIN of the group who states a purpose also sees what is held of people who were erased;
    so does auth, which states one where such an ADMIN has (exports).
    """
    usual = "TREAT" if "DENTIST" in caller.roles else "HOPERAT"
    person = on_behalf_of if caller.kind == "service" else caller.id
    roles = tuple(sorted(caller.roles))
    lifted = purpose is not None and _may_lift(caller)
    return Acting(_Actor(person, caller.service, roles, purpose or usual, purpose or _OWN, lifted))


def acting_as_service(name: str) -> Acting:
    """In this block a service acts by itself: it handles a message or runs a job."""
    return Acting(_Actor(None, name, (), "HOPERAT", "HOPERAT"))


def acting_in(environ: Mapping[str, Any], caller: Caller) -> Acting:
    """``acting`` as a request's headers say: ``X-Purpose-Of-Use`` (of PURPOSES), and from a
    service ``X-On-Behalf-Of`` (a person's id). Raises Invalid."""
    purpose = environ.get("HTTP_X_PURPOSE_OF_USE")
    if purpose is not None and purpose not in PURPOSES:
        raise _refused("X-Purpose-Of-Use", f"one of {', '.join(sorted(PURPOSES))}")
    person = environ.get("HTTP_X_ON_BEHALF_OF") if caller.kind == "service" else None
    try:
        on_behalf_of = None if person is None else UUID(person)
    except ValueError:
        raise _refused("X-On-Behalf-Of", "a person's id") from None
    return acting(caller, purpose=purpose, on_behalf_of=on_behalf_of)


def lifted() -> bool:
    """Whether who acts also sees what is held about people who were erased."""
    return _actor.get().lifted


def lifted_for() -> str | None:
    """The stated purpose for which who acts sees that, to be stated to another service."""
    actor = _actor.get()
    return actor.purpose if actor.lifted else None


def visible(person: str) -> str:
    """The SQL condition that who acts may see rows about the person in the expression ``person``:
    not what is held of somebody who was erased (GDPR, article 18), unless ``lifted``.

    ``audited`` applies it by itself, to what its ``select`` gives. A ``select`` with a ``limit``
    says it inside, too, or its pages come out short. It takes the parameters of ``who()``.
    """
    # One look into an index for each row, and no join: the rows' order stays. The alias keeps
    # person_id the name of what is looked up.
    return (
        "(:audit_lifted::boolean or (select true from erased_people as gone (gone_id)"  # nosec B608
        f" where gone_id = {person} limit 1) is null)"
    )


def _may_lift(caller: Caller) -> bool:
    if caller.kind == "service":
        return caller.service == ERASER
    return "ADMIN" in caller.clinics.get(EVERYWHERE, ())


def _refused(header: str, detail: str) -> Invalid:
    return Invalid(errors=[{"header": header, "detail": detail}])


def audited(
    select: str,
    *,
    action: Action,
    what: str,
    person: str = "person_id",
    where: str = "true",
) -> str:
    """``select`` as a statement that also adds a row for each row it shows, for the person in its
    column ``person``. It takes the parameters of ``who()`` besides its own. What is held about
    people who were erased it shows only to those who may see it (``visible``).

    ``where`` tells what is shown from what is only looked up, by the columns of ``select``. The
    order of the rows is kept by appending an ``order by`` of these columns.
    """
    values = _VALUES.format(person=f"shown.{person}", action=action, what=what)
    return f"""
with shown as materialized (
  select found.* from ({select}) found where {visible(f"found.{person}")}),
audit as (insert into audit_log ({_COLUMNS}) select {values} from shown where {where})
select * from shown
"""  # nosec B608


def who() -> dict[str, Any]:
    """The parameters an ``audited`` statement needs: who acts, and why."""
    actor = _actor.get()
    return {
        "audit_actor": actor.person,
        "audit_service": actor.service,
        "audit_roles": actor.roles,
        "audit_purpose": actor.purpose,
        "audit_own": actor.own,
        "audit_lifted": actor.lifted,
        "audit_correlation": log.correlation_id.get(),
    }


def entry(person: UUID | None, action: Action, what: str) -> Statement:
    """The statement that adds one row, to travel with others."""
    return Statement(_ENTRY, _parameters(person, action, what))


def record(tx: Tx, person: UUID | None, action: Action, what: str) -> None:
    """Add one row in the transaction that changes ``what`` of ``person``."""
    tx.batch(entry(person, action, what))


def accesses(db: Database, person: UUID, *, before: int | None, limit: int) -> list[Row]:
    """Who did what with the data of ``person``, newest first: up to ``limit`` rows with an id
    below ``before``. To look is an access itself."""
    noted = _parameters(person, "read", "access log")
    return db.all(_ACCESSES, before=before, limit=limit, **noted)


def _parameters(person: UUID | None, action: Action, what: str) -> dict[str, Any]:
    return {**who(), "audit_person": person, "audit_action": action, "audit_what": what}
