"""The page docs/reasons.md: every reason in a table of its group."""

from slipway.api.reasons import Course, Group, Reason

INTRODUCTION = """# Reasons

Generated from `operator/slipway/api/reasons.py` by `make generate`; do not edit.

Conditions, verdicts, results of Jobs, events and answers to actions carry a reason: one word that
never changes its meaning, for machines. The message beside it has the numbers, for people.
Where nothing is said about what becomes of it, the rollout goes on by itself."""


def render_reasons() -> str:
    """Return docs/reasons.md."""
    parts = [INTRODUCTION]
    for group in Group:
        members = [reason for reason in Reason if reason.group is group]
        heading = group.value[0].upper() + group.value[1:]
        parts.append(f"## {heading}\n\n{_render_table(members)}")
    return "\n\n".join(parts) + "\n"


def _render_table(members: list[Reason]) -> str:
    """Return a table; a column that would say nothing is left out."""
    rows = [["reason", "what it means"], *([f"`{item}`", item.meaning] for item in members)]
    if any(item.course is not Course.GOES_ON for item in members):
        courses = ["" if item.course is Course.GOES_ON else item.course.value for item in members]
        _add_column(rows, "what becomes of it", courses)
    if any(item.remedy for item in members):
        _add_column(rows, "what to do", [item.remedy for item in members])

    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _add_column(rows: list[list[str]], head: str, cells: list[str]) -> None:
    for row, cell in zip(rows, [head, *cells], strict=True):
        row.append(cell)
