"""What is to be seen of each tooth of a chart, and how it is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from functions.dental_records.domain.chart import (
    Chart,
    Coding,
    Intervention,
    InterventionRecord,
    ProblemRecord,
    Procedure,
)
from functions.dental_records.domain.teeth import place
from functions.dental_records.domain.words import Words
from shared.teeth import surfaces

__all__ = ["Finding", "findings", "lines"]

# Never there, fallen out, lost before anybody here could record an extraction.
_ABSENT = frozenset(("icd-10", code) for code in ("K00.0", "K08.0", "K08.1"))


@dataclass
class Finding:
    """What is to be seen of one tooth."""

    problems: set[str] = field(default_factory=set)
    """Surfaces with a problem that stands."""
    problem: bool = False
    """The tooth as a whole has one."""
    treated: set[str] = field(default_factory=set)
    procedures: list[Procedure] = field(default_factory=list)
    """What was done to the tooth as a whole, each once."""
    in_error: bool = False
    """Some record of it was entered in error."""
    missing: bool = False
    """It was extracted or lost, or never came, and no implant took its place since."""

    def gone(self) -> None:
        """Nothing is left to be seen of what was done to it before."""
        self.missing = True
        self.treated.clear()
        self.procedures.clear()


def findings(chart: Chart) -> dict[str, Finding]:
    """Each tooth of which something is recorded, in the order in which they are drawn."""
    found: dict[str, Finding] = {}
    resolved = chart.resolved()
    records: list[ProblemRecord | InterventionRecord] = [
        *chart.problems.values(),
        *chart.interventions.values(),
    ]
    for record in sorted(records, key=lambda each: (each.since, each.version)):
        if isinstance(record, ProblemRecord):
            tooth = found.setdefault(record.problem.tooth, Finding())
            _find(tooth, record, resolved=record.id in resolved)
            continue
        for treated in record.intervention.teeth:
            tooth = found.setdefault(treated.tooth, Finding())
            if record.error is not None:
                tooth.in_error = True
            else:
                _do(tooth, record.intervention, treated.surfaces)
    return {tooth: found[tooth] for tooth in sorted(found, key=place)}


def _find(tooth: Finding, record: ProblemRecord, *, resolved: bool) -> None:
    problem = record.problem
    if record.error is not None:
        tooth.in_error = True
        return
    if (problem.code.system, problem.code.code) in _ABSENT and not problem.surfaces:
        tooth.gone()
    if not resolved:
        tooth.problems |= set(problem.surfaces)
        tooth.problem |= not problem.surfaces


def _do(tooth: Finding, done: Intervention, where: tuple[str, ...]) -> None:
    if done.procedure == "EXTRACTION":
        tooth.gone()
    elif done.procedure == "IMPLANT":
        tooth.gone()
        tooth.missing = False
    tooth.treated |= set(where)
    if not where and done.procedure not in tooth.procedures:
        tooth.procedures.append(done.procedure)


def lines(chart: Chart, words: Words) -> Iterator[str]:
    """Every record in a sentence of its own, for those who do not see the drawing."""
    resolved = chart.resolved()
    problems = sorted(chart.problems.values(), key=lambda r: (place(r.problem.tooth), r.since))
    for record in problems:
        yield _problem(record, words, resolved=record.id in resolved)
    for done in sorted(chart.interventions.values(), key=lambda each: (each.since, each.version)):
        what = done.intervention
        teeth = "; ".join(
            _where(each.tooth, each.surfaces, words)
            + (f" ({words.roles[each.role]})" if each.role else "")
            for each in what.teeth
        )
        text = f"{teeth}: {words.procedures[what.procedure]}"
        if what.code is not None:
            text += f", {_coded(what.code)}"
        yield f"{text}, {words.in_error}." if done.error is not None else f"{text}."
    if not chart.problems and not chart.interventions:
        yield words.nothing


def _problem(record: ProblemRecord, words: Words, *, resolved: bool) -> str:
    problem = record.problem
    text = f"{_where(problem.tooth, problem.surfaces, words)}: {_coded(problem.code)}"
    if record.error is not None:
        return f"{text}, {words.in_error}."
    return f"{text}, {words.resolved if resolved else words.problem}."


def _where(tooth: str, given: tuple[str, ...], words: Words) -> str:
    named = [words.surfaces[letter] for letter in surfaces(tooth) if letter in given]
    return ", ".join([f"{words.tooth} {tooth}", *named])


def _coded(code: Coding) -> str:
    return f"{code.title} ({code.code})"
