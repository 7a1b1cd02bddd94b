"""The order in which jobs that wait for each other are restarted. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def dependencies_first(ids: Sequence[int], waits: Sequence[tuple[int, int]]) -> list[int]:
    """Return ids with what others wait for in front of them, else in their order; none twice.

    `waits` are pairs of a job and one it waits for. What is in a circle is there like the rest.
    """
    on: dict[int, list[int]] = {}
    asked = frozenset(ids)
    for job_id, other in waits:
        if other in asked:
            on.setdefault(job_id, []).append(other)
    if not on:
        return list(dict.fromkeys(ids))
    ordered: dict[int, None] = {}
    seen: set[int] = set()
    for job_id in ids:
        todo = [job_id]
        while todo:
            one = todo[-1]
            if one in seen:
                ordered[todo.pop()] = None
            else:
                seen.add(one)
                todo += [other for other in on.get(one, ()) if other not in seen]
    return list(ordered)
