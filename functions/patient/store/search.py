"""Finding patients by name, e-mail address or national id.

Names are found in ``patient_words`` by walking the range of one word's prefix; the other words of
the query are checked in the same index entries. The walk starts from the rarest word, so the cost
is bounded by the matches of that one, and a short prefix ends after one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from shared.audit import audited, who
from shared.db import Database, Row

__all__ = ["START", "Position", "by_identity", "by_name", "rarest"]

_LAST = "\U0010ffff"  # sorts after every letter
_NOBODY = UUID(int=0)


class Position(NamedTuple):
    """Where a page ended: the word walked along, and the last entry seen."""

    prefix: str
    word: str
    name: str
    patient_id: UUID


START = Position("", "", "", _NOBODY)

# Counting stops early: among words this frequent a page fills soon, whichever is walked.
_RAREST = """
select q.word from unnest(:words::text[]) with ordinality as q(word, n),
       lateral (select count(*) as matches from (
         select from patient_words w where w.word >= q.word and w.word < q.word || :last
          limit 3000) x) c
 order by c.matches, length(q.word) desc, q.n limit 1
"""

# A patient with two words of this prefix has two entries: the first word in the name counts.
# The subquery is a page; only its patients and keys are fetched.
_BY_NAME = """
select w.word, w.name, p.patient_id, p.first_name, p.last_name, p.birth_date,
       k.version as key_version, k.wrapped as key_wrapped,
       row_number() over (order by w.word, w.name, w.patient_id) < :limit as shown
  from (select word, name, patient_id from patient_words
         where (word, name, patient_id) > (:word::text, :name::text, :after::uuid)
           and word < :end
           and strpos(name, ' ' || :prefix) = strpos(name, ' ' || word || ' ')
           and name like all (:others::text[])
         order by word, name, patient_id limit :limit) w
  join patients p on p.patient_id = w.patient_id
  left join subject_keys k on k.subject = w.patient_id
"""

_BY_IDENTITY = """
select '' as word, '' as name, p.patient_id, p.first_name, p.last_name, p.birth_date,
       k.version as key_version, k.wrapped as key_wrapped,
       row_number() over (order by p.patient_id) < :limit as shown
  from patients p
  left join subject_keys k on k.subject = p.patient_id
 where (:email::text is null or p.email = :email)
   and (:number::bytea is null or p.national_id_index = :number)
   and p.name like all (:words::text[]) and p.patient_id > :after::uuid
 order by p.patient_id limit :limit
"""


def _audited(select: str, order: str) -> str:
    """The last row only tells that there is a further page: it is shown to nobody."""
    sql = audited(select, action="search", what="profile", person="patient_id", where="shown")
    return f"{sql} order by {order}"


_SHOW_BY_NAME = _audited(_BY_NAME, "word, name, patient_id")
_SHOW_BY_IDENTITY = _audited(_BY_IDENTITY, "patient_id")


def rarest(db: Database, words: Sequence[str]) -> str:
    """The one of ``words`` that begins the fewest words of names."""
    if len(words) == 1:
        return words[0]
    found = db.one(_RAREST, words=list(words), last=_LAST)
    return str(found["word"]) if found else words[0]


def by_name(db: Database, words: Sequence[str], after: Position, limit: int) -> list[Row]:
    """Up to ``limit`` patients whose names have all ``words``, after a position whose prefix is
    one of them; sorted by the word matched, then by name. The last of ``limit`` is not shown."""
    prefix = after.prefix
    return db.all(
        _SHOW_BY_NAME,
        word=after.word or prefix,
        name=after.name,
        after=after.patient_id,
        end=prefix + _LAST,
        prefix=prefix,
        others=[_pattern(word) for word in words if word != prefix],
        limit=limit,
        **who(),
    )


def by_identity(
    db: Database,
    *,
    email: str | None,
    number: bytes | None,
    words: Sequence[str],
    after: Position,
    limit: int,
) -> list[Row]:
    """Up to ``limit`` patients with this e-mail address and this national id's blind index,
    of those that are given (at least one), sorted by id. The last of ``limit`` is not shown."""
    return db.all(
        _SHOW_BY_IDENTITY,
        email=email,
        number=number,
        words=[_pattern(word) for word in words],
        after=after.patient_id,
        limit=limit,
        **who(),
    )


def _pattern(word: str) -> str:
    """LIKE pattern: a word of the name begins with ``word``, wildcards being letters like any."""
    plain = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"% {plain}%"
