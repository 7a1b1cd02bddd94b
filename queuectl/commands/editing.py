"""`edit ID` without flags: the job as text in an editor, taken over only if all of it is right."""

from __future__ import annotations

import json
import os

from queuectl.commands.jsonjobs import load_object, read_job
from queuectl.errors import QueuectlError, Refused, UsageError
from queuectl.job import PROCESSING
from queuectl.settings import BY_NAME, PER_JOB, value_of
from queuectl.timespec import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.job import Job
    from queuectl.store.base import Changed, Dependency

    Given = dict[str, object]

_MISSING = object()
_COMMENT = "#"
#: what a field becomes that is deleted from the text
_WITHOUT: dict[str, object] = {
    "args": None, "queue": "default", "name": None, "priority": 0, "env": {}, "unique": None,
}  # fmt: skip
#: fields that make one of NewJob together, and what that is without them
_TOGETHER: dict[str, tuple[str, object]] = {
    **dict.fromkeys(("after", "after_any", "after_failed"), ("after", ())),
    **dict.fromkeys(("slots", "need"), ("needs", {})),
}
_HEAD = """\
# Job {id}. Save and leave to change it; leave it as it is to change nothing.
# A field that is deleted goes back to its default. Lines that begin with # are not read.
# There are also: {others}
"""


def can_edit(ctx: Context) -> bool:
    """Whether an editor could be opened here."""
    return _editor(ctx) is not None


def edit_as_text(ctx: Context, job: Job) -> Changed | None:
    """Let somebody edit a job; None: left as it was.

    Raises Refused when they give up or it runs by now, UsageError when nobody can be asked again.
    """
    if job.state == PROCESSING:
        raise Refused(f"job {job.id} is running")
    before = {**fields_of(job), **_demands_of(job, ctx.store.dependencies(job.id))}
    others = ", ".join(sorted(_known().difference(before)))
    text = _HEAD.format(id=job.id, others=others) + json.dumps(before, indent=2, ensure_ascii=False)
    while True:
        edited = _in_editor(ctx, job, text + "\n")
        if edited.strip() == text.strip():
            return None
        text = edited.rstrip("\n")
        try:
            changes = changes_between(ctx, before, text)
            if not changes:
                return None
            return ctx.write(lambda store: store.edit(job.id, changes))  # noqa: B023 (called now)
        except QueuectlError as error:
            if ctx.confirm is None:
                raise
            if not ctx.confirm(f"{error}: edit again?"):
                raise Refused("nothing was changed") from None


def fields_of(job: Job) -> Given:
    """Return a job as the JSON that would enqueue it, without what is at its default."""
    fields: Given = {"command": job.command}
    if job.args is not None:
        fields["args"] = list(job.args)
    if "shell" in job.policy:
        fields["shell"] = job.policy["shell"]
    elif job.shell == bool(job.args):
        fields["shell"] = job.shell
    if job.name is not None:
        fields["name"] = job.name
    fields.update(queue=job.queue, priority=job.priority, max_retries=job.max_retries)
    for name in PER_JOB:
        if name in job.policy and name != "shell":
            fields[name.replace("-", "_")] = _plain(name, job.policy[name])
    if job.next_run_at is not None:
        fields["at"] = _iso(job.next_run_at)
    fields.update(cwd=job.cwd, env=dict(job.env))
    return fields


def _demands_of(job: Job, dependencies: Sequence[Dependency]) -> Given:
    """Return the fields that say what a job waits for and what it needs."""
    from queuectl.commands.demands import WHEN

    after = {name: [one.on for one in dependencies if one.when == when] for name, when in WHEN}
    needs = dict(job.needs)
    found: Given = {**after, "unique": job.unique, "slots": needs.pop("slots", None), "need": needs}
    return {name: value for name, value in found.items() if value}


def changes_between(ctx: Context, before: Given, text: str) -> Given:
    """Return what store.edit is to change for a job to be as a text says. Raises UsageError."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(_COMMENT)]
    source = "\n".join(lines)
    after = load_object(source)
    for name in ("paused", "id"):
        if name in after:
            hint = "; `pause` and `resume` do that" if name == "paused" else ""
            raise UsageError(f"{name}: cannot be edited{hint}")
    fields = read_job(source, ctx)
    given: Given = dict(fields.get("policy", {}))  # type: ignore[call-overload]
    names = [
        name for name in {**before, **after}
        if before.get(name, _MISSING) != after.get(name, _MISSING)
    ]  # fmt: skip
    changes: Given = {}
    policy: Given = {}
    for name in names:
        setting = "unmet" if name == "keep_waiting" else name.replace("_", "-")
        if setting in PER_JOB:
            policy[setting] = given.get(setting)
        if name == "shell" or setting not in PER_JOB:
            changes.update(_change(name, fields))
    if "args" in changes and "shell" not in after:
        # what was left open before is decided by the args again
        changes["shell"] = None
    if "cwd" in changes and changes["cwd"] is None:
        raise UsageError("cwd: missing; a job has a directory")
    return {**changes, "policy": policy} if policy else changes


def _change(name: str, fields: Given) -> Given:
    """Return what store.edit is to change for a field of the text that is no setting."""
    if name in _TOGETHER:
        field, empty = _TOGETHER[name]
        return {field: fields.get(field, empty)}
    if name in ("at", "delay"):
        return {"due_at": fields.get("due_at")}
    if name in ("stdin", "stdin_file"):
        return {key: fields[key] for key in ("stdin", "stdin_path") if key in fields}
    return {name: fields.get(name, _WITHOUT.get(name))}


def _known() -> set[str]:
    names = {name.replace("-", "_") for name in PER_JOB}
    return names | {
        "command",
        "args",
        "shell",
        "queue",
        "name",
        "priority",
        "at",
        "cwd",
        "env",
        "stdin",
        "stdin_file",
        "unique",
        *_TOGETHER,
    }


def _plain(name: str, text: str) -> object:
    """Return a setting's value as JSON has it."""
    kind = BY_NAME[name].kind
    if kind in ("int", "switch"):
        return value_of(name, {name: text})
    if kind == "number":
        number = float(value_of(name, {name: text}))
        return int(number) if number.is_integer() else number
    return text


def _iso(moment: int) -> str:
    import datetime

    local = datetime.datetime.fromtimestamp(moment / SECOND).astimezone()
    return local.isoformat(timespec="seconds")


def _editor(ctx: Context) -> str | None:
    given = ctx.environ.get("VISUAL") or ctx.environ.get("EDITOR")
    if given:
        return given
    return "vi" if ctx.screen.terminal and ctx.confirm is not None else None


def _in_editor(ctx: Context, job: Job, text: str) -> str:
    """Return a text as an editor leaves it. Raises Refused when that fails."""
    import subprocess
    import tempfile

    editor = _editor(ctx)
    if editor is None:
        raise UsageError("no editor here: set EDITOR")
    # a directory of its own: mode 0700, and gone afterwards with all that an editor leaves there
    with tempfile.TemporaryDirectory(prefix="queuectl-") as directory:
        path = os.path.join(directory, f"job-{job.id}.json")
        # what is no UTF-8 stands in it as it is
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        # through a shell, as git does: it may be a command with words
        line = ["/bin/sh", "-c", f'{editor} "$@"', editor, path]
        status = subprocess.run(line, env=dict(ctx.environ), check=False).returncode
        if status:
            raise Refused(f"the editor {editor!r} failed (exit {status}): nothing was changed")
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError as error:
            raise Refused(f"nothing was changed: {error.strerror}: {path}") from None
