"""A whole graph of jobs at once: one JSON document of jobs that refer to each other by name."""

from __future__ import annotations

from queuectl.errors import DependencyCycle, NotFound, QueuectlError, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queuectl.commands.drafts import Maker
    from queuectl.job import NewJob

#: bytes of a document that are read into memory
LARGEST = 64 * 1024**2
#: jobs named when they wait for each other
_SHOWN = 12


def is_graph(text: str) -> bool:
    """Whether what a file begins with is such a document, and not lines of commands or jobs."""
    start = text.lstrip()
    if start.startswith("["):
        # no test(1), which has something else behind its bracket
        return start[1:].lstrip().startswith(("{", "]"))
    return start.startswith("{") and start[1:].lstrip().startswith('"jobs"')


def read(maker: Maker, text: str) -> list[NewJob]:
    """Return the jobs of a document, in its order, for one `add`.

    Names in `after` are those of the document first, then of jobs that the store has. Raises
    UsageError naming job and field, and DependencyCycle with the cycle.
    """
    from queuectl.commands.jsonjobs import read_fields

    found: list[NewJob] = []
    numbers: dict[str, int] = {}
    for number, given in enumerate(_objects(text), 1):
        if not isinstance(given, dict):
            raise UsageError(f"job {number}: a job is an object: {{…}}")
        label = f"job {number}" + (
            f" ({given['name']})" if isinstance(given.get("name"), str) else ""
        )
        try:
            new = maker.make(read_fields(given, maker.ctx))
        except QueuectlError as error:
            bad = UsageError(f"{label}: {error}")
            bad.exit_status = error.exit_status
            raise bad from None
        if new.name is not None and new.name in numbers:
            raise UsageError(f"{label}: job {numbers[new.name]} has that name already")
        if new.name is not None:
            numbers[new.name] = number
        found.append(new)
    if not found:
        raise UsageError("there are no jobs in it")
    _check_names(maker, found, numbers)
    _check_cycles(found)
    return found


def _check_names(maker: Maker, jobs: Sequence[NewJob], numbers: Mapping[str, int]) -> None:
    """Raise NotFound for the first name that neither the document nor the store has."""
    for number, new in enumerate(jobs, 1):
        for after in new.after:
            name = after.on
            if (
                isinstance(name, str)
                and name not in numbers
                and maker.ctx.store.id_of_name(name) is None
            ):
                raise NotFound(
                    f"job {number}: after: no job named {name!r}{did_you_mean(name, numbers)}"
                )


def _objects(text: str) -> Sequence[object]:
    """Return the list that a document is, or holds under `jobs`."""
    from queuectl.commands.jsonjobs import load_json

    document = load_json(text)
    if isinstance(document, dict):
        other = next((name for name in document if name != "jobs"), None)
        if other is not None:
            raise UsageError(f"no field {other!r} beside jobs{did_you_mean(other, ('jobs',))}")
        document = document.get("jobs")
    if not isinstance(document, list):
        raise UsageError('jobs: give a list of jobs: {"jobs": [{…}, …]}')
    return document


def _check_cycles(jobs: Sequence[NewJob]) -> None:
    """Raise DependencyCycle if jobs wait for each other."""
    edges = {
        new.name: [after.on for after in new.after if isinstance(after.on, str)]
        for new in jobs if new.name is not None
    }  # fmt: skip
    cycle = find_cycle(edges)
    if cycle:
        shown = cycle if len(cycle) <= _SHOWN else [*cycle[: _SHOWN - 1], "…", cycle[-1]]
        raise DependencyCycle(cycle=" → ".join(shown))


def find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a cycle as `a, b, a`; an empty list if there is none. What has no row has no edges."""
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        path: dict[str, Iterator[str]] = {start: iter(edges[start])}
        while path:
            last = next(reversed(path))
            following = next(
                (name for name in path[last] if name in edges and name not in done), None
            )
            if following is None:
                done.add(last)
                del path[last]
            elif following in path:
                names = list(path)
                return [*names[names.index(following) :], following]
            else:
                path[following] = iter(edges[following])
    return []
