"""Who may use a route: small immutable rules, combined with ``|``.

    access=roles("DENTIST", clinic="clinic_id") | owner("patient_id") | services("notification")

A rule answers from the caller and the request's named fields (path, query or body). As long as
a field it needs is unknown it answers None, so that most requests are decided before their body
is read. Nothing is allowed unless a rule says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.identity import EVERYWHERE, Caller

__all__ = ["GROUP", "STAFF", "Rule", "anyone", "owner", "public", "roles", "services"]

STAFF = ("RECEPTIONIST", "DENTIST", "ADMIN")
GROUP = EVERYWHERE  # roles(..., clinic=GROUP): held for the whole group, not just for one clinic
_NONE: frozenset[str] = frozenset()


class Rule(ABC):
    """One way to be let in, or several of them."""

    __slots__ = ()

    @property
    def services(self) -> frozenset[str]:
        """The services that may call: what the invoker grants in the cloud derive from."""
        return _NONE

    @property
    def fields(self) -> frozenset[str]:
        """The request fields this rule looks at."""
        return _NONE

    @property
    def public(self) -> bool:
        """Does this rule admit callers nobody has identified?"""
        return False

    @abstractmethod
    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:
        """Allowed, refused, or None: depends on a field that ``known`` does not hold yet."""

    @abstractmethod
    def describe(self) -> str:
        """The rule in words, for the documentation and the access table."""

    def __or__(self, other: Rule) -> Rule:
        """Whoever either rule admits."""
        if self.public or other.public:
            raise ValueError("public() already admits everybody: combine it with nothing")
        return _Either((*_parts(self), *_parts(other)))


@dataclass(frozen=True, slots=True)
class _Public(Rule):
    @property
    def public(self) -> bool:
        return True

    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:  # noqa: ARG002
        return True

    def describe(self) -> str:
        return "everybody, without a token"


@dataclass(frozen=True, slots=True)
class _Anyone(Rule):
    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:  # noqa: ARG002
        return caller.kind == "person"

    def describe(self) -> str:
        return "any signed-in person"


@dataclass(frozen=True, slots=True)
class _Roles(Rule):
    names: tuple[str, ...]
    clinic: str | None

    @property
    def fields(self) -> frozenset[str]:
        return frozenset() if self.clinic in (None, GROUP) else frozenset({str(self.clinic)})

    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:
        if caller.kind != "person" or caller.roles.isdisjoint(self.names):
            return False
        if self.clinic is None or self._held(caller, GROUP):
            return True
        if self.clinic == GROUP:
            return False
        if self.clinic not in known:
            return None
        place = known[self.clinic]
        # A request that names no clinic concerns the whole group.
        return place is not None and self._held(caller, str(place))

    def _held(self, caller: Caller, place: str) -> bool:
        return not caller.clinics.get(place, _NONE).isdisjoint(self.names)

    def describe(self) -> str:
        names = " or ".join(self.names)
        if self.clinic is None:
            return f"{names} of any clinic"
        return f"{names} of the {'group' if self.clinic == GROUP else f'clinic in {self.clinic}'}"


@dataclass(frozen=True, slots=True)
class _Owner(Rule):
    field: str

    @property
    def fields(self) -> frozenset[str]:
        return frozenset({self.field})

    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:
        if caller.kind != "person":
            return False
        if self.field not in known:
            return None
        person = known[self.field]
        return isinstance(person, UUID) and caller.is_owner(person)

    def describe(self) -> str:
        return f"the person in {self.field}"


@dataclass(frozen=True, slots=True)
class _Services(Rule):
    names: frozenset[str]

    @property
    def services(self) -> frozenset[str]:
        return self.names

    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:  # noqa: ARG002
        return caller.kind == "service" and caller.service in self.names

    def describe(self) -> str:
        return f"the service{'s' if len(self.names) > 1 else ''} {', '.join(sorted(self.names))}"


@dataclass(frozen=True, slots=True)
class _Either(Rule):
    rules: tuple[Rule, ...]

    @property
    def services(self) -> frozenset[str]:
        return _NONE.union(*(rule.services for rule in self.rules))

    @property
    def fields(self) -> frozenset[str]:
        return _NONE.union(*(rule.fields for rule in self.rules))

    def decide(self, caller: Caller, known: Mapping[str, object]) -> bool | None:
        verdict: bool | None = False
        for rule in self.rules:
            answer = rule.decide(caller, known)
            if answer:
                return True
            if answer is None:
                verdict = None
        return verdict

    def describe(self) -> str:
        return "; ".join(rule.describe() for rule in self.rules)


def _parts(rule: Rule) -> tuple[Rule, ...]:
    return rule.rules if isinstance(rule, _Either) else (rule,)


def public() -> Rule:
    """Everybody: no token is asked for, and one that is sent is not looked at."""
    return _Public()


def anyone() -> Rule:
    """Any signed-in person, patient or staff; for things the handler takes from the caller."""
    return _Anyone()


def roles(*names: str, clinic: str | None = None) -> Rule:
    """Staff holding one of ``names``.

    ``clinic`` is the request field that names the clinic (a role held group-wide always
    suffices), ``GROUP`` when only a group-wide role will do, or None for a role held anywhere.
    PATIENT is refused: everybody holds it, so it says nothing about whose things these are;
    use ``owner`` or ``anyone``. Raises ValueError.
    """
    if not names:
        raise ValueError("roles() needs at least one role")
    for name in names:
        if name not in STAFF:
            hint = ": use owner(...) or anyone()" if name == "PATIENT" else ""
            raise ValueError(f"roles() knows {', '.join(STAFF)}, not {name}{hint}")
    return _Roles(names, clinic)


def owner(field: str) -> Rule:
    """The person whose id stands in the request field ``field`` (a UUID)."""
    return _Owner(field)


def services(*names: str) -> Rule:
    """The services named, calling with their own identity. Raises ValueError."""
    if not names:
        raise ValueError("services() needs at least one service")
    return _Services(frozenset(names))
