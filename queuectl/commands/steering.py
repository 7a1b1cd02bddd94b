"""`edit`, `move`, `signal`, `send`: jobs changed while they wait, or spoken to while they run."""

from __future__ import annotations

import os

from queuectl.commands import acting, picking
from queuectl.commands.drafts import Maker, about_past, check_command
from queuectl.commands.lost import take_back
from queuectl.commands.result import Result, say
from queuectl.errors import EXIT_FAILED, BadValue, Refused, UsageError, did_you_mean
from queuectl.grammar.selection import parse_words
from queuectl.job import FAILED, PENDING, PROCESSING, SLOTS, STATES
from queuectl.settings import PER_JOB
from queuectl.store.base import Changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args
    from queuectl.store.base import Store

_WAITING = (PENDING, FAILED)
#: takes a value back
NONE = "none"
#: by flag: the setting that its --no- flag turns off, and to what
_OFF = {
    "merge": ("merge", "off"), "interactive": ("interactive", "off"),
    "leave_children": ("leave-children", "off"), "keep_waiting": ("unmet", "cancel"),
}  # fmt: skip


def edit(ctx: Context, args: Args) -> Result:
    """Run `edit`: what its flags say, of the jobs that are written out."""
    chosen = parse_words(args.which)
    if chosen.all or chosen.states:
        raise UsageError(
            f"edit: {' '.join(args.which)}: it takes ids, ranges or names, and its flags say what the"
            " jobs become; `list` with a state shows the ids, and 3-9 or 4,7 are many at once"
        )
    changes, policy = _taken_back(args, ctx.store.now()), _policy_taken_back(args)
    drops_needs = args.need == [NONE]
    if drops_needs:
        args.need = []
    maker = Maker(ctx, args, capture=False)
    changes.update(maker.flags)
    if policy:
        changes["policy"] = {**changes.get("policy", {}), **policy}  # type: ignore[dict-item]
    if drops_needs:
        changes.setdefault("needs", {})
    if args.command is not None:
        check_command(args.command)
        # a line for a shell, whatever it was before, and no message any more
        changes.update(command=args.command, args=None, shell=changes.get("shell"), message=None)
    if not changes and not maker.env:
        return _edit_as_text(ctx, args)

    def change(store: Store, ids: Sequence[int]) -> list[Changed]:
        if not maker.env and "needs" not in changes:
            return store.edit_all(ids, changes)
        with store.transaction():
            return [
                _edit(store, job_id, changes, maker.env, keeps_needs=not drops_needs)
                for job_id in ids
            ]

    verb = acting.Verb("edit", "changed", change, STATES, STATES)
    result = acting.act(ctx, args, verb, chosen)
    if args.at is None:
        return result
    past = about_past(ctx, maker.flags["due_at"])  # type: ignore[arg-type]
    return result._replace(notes=(*result.notes, *past))


def _edit_as_text(ctx: Context, args: Args) -> Result:
    """Open the job in an editor."""
    from queuectl.commands.editing import can_edit, edit_as_text

    if not can_edit(ctx):
        like = f"edit {args.which[0]} --priority 5"
        raise UsageError(f"edit: change what? for example: {like}; or set EDITOR")
    if len(args.which) != 1:
        raise UsageError("edit: an editor takes one job at a time; or give flags for several")
    job = picking.one_job(ctx, args.which[0])
    changed = edit_as_text(ctx, job)
    if changed is None:
        return say(f"job {job.id} left as it was", {"changed": [], "refused": []})
    if not changed.done:
        raise Refused(f"job {job.id} {changed.why}")
    return say(
        f"job {job.id} changed",
        {"changed": [{"id": job.id, "state": changed.state}], "refused": []},
    )


def _taken_back(args: Args, now: int) -> dict[str, object]:
    """Return the fields that `none` takes back, as store.edit wants them.

    Their flags are cleared, so that nobody reads `none` as a value. Raises UsageError.
    """
    changes: dict[str, object] = {}
    for name in ("name", "unique"):
        if getattr(args, name) == NONE:
            changes[name] = None
            setattr(args, name, None)
    for flag in ("after", "after_any", "after_failed"):
        if getattr(args, flag) == [NONE]:
            changes["after"] = ()
            setattr(args, flag, [])
    for flag in ("at", "delay"):
        if getattr(args, flag) == NONE:
            changes["due_at"] = now
            setattr(args, flag, None)
    if args.cwd == NONE:
        raise UsageError("edit: --cwd none: a job has a directory; ./none is one of that name")
    return changes


def _policy_taken_back(args: Args) -> dict[str, str | None]:
    """Likewise for settings: by `none`, and by the --no- flags. Raises UsageError."""
    policy: dict[str, str | None] = {}
    for name in PER_JOB:
        flag = name.replace("-", "_")
        if getattr(args, flag, None) == NONE:
            policy[name] = None
            setattr(args, flag, None)
    for flag, (name, off) in _OFF.items():
        if getattr(args, f"no_{flag}"):
            if getattr(args, flag):
                switch = flag.replace("_", "-")
                raise UsageError(f"edit: --{switch} and --no-{switch} exclude each other")
            policy[name] = off
    return policy


def _edit(
    store: Store, job_id: int, changes: dict[str, object], env: object, *, keeps_needs: bool
) -> Changed:
    job = store.get(job_id)
    if env and job is not None:
        changes = {**changes, "env": {**job.env, **env}}  # type: ignore[dict-item]
    if "needs" in changes and job is not None:
        kept = {name: job.needs[name] for name in job.needs if keeps_needs or name == SLOTS}
        changes = {**changes, "needs": {**kept, **changes["needs"]}}  # type: ignore[dict-item]
    return store.edit(job_id, changes)


def move(ctx: Context, args: Args) -> Result:
    """Run `move`: to another queue, or before or behind all that is ready."""
    if args.first + args.last + (args.to is not None) != 1:
        raise UsageError("move where? one of --to QUEUE, --first and --last")
    to: str | None = args.to
    if to is not None:
        picking.check_queues(ctx.store, (to,))

    def change(store: Store, ids: Sequence[int]) -> list[Changed]:
        if to is None:
            return store.move(ids, first=args.first)
        return store.edit_all(ids, {"queue": to})

    verb = acting.Verb("move", "moved", change, _WAITING, _WAITING)
    return acting.act(ctx, args, verb)


def send_signal(ctx: Context, args: Args) -> Result:
    """Run `signal`: deliver it and no more; what becomes of the job is judged by its end."""
    number = _signal_number(args.signal)
    take_back(ctx)
    payload = str(number).encode()
    verb = acting.Verb(
        "signal", "signalled", lambda store, ids: store.wish(ids, "signal", payload),
        (PROCESSING,), (PROCESSING,),
    )  # fmt: skip
    return acting.act(ctx, args, verb)


def _signal_number(text: str) -> int:
    """Return the number of a signal: `TERM`, `SIGTERM`, `term` or `15`."""
    import signal

    name = text.upper().removeprefix("SIG")
    known = {one.name.removeprefix("SIG"): int(one) for one in signal.Signals}
    if name in known:
        return known[name]
    if text.isdecimal() and int(text) in known.values():
        return int(text)
    raise BadValue(what="signal", value=text, expected=f"a signal{did_you_mean(name, known)}")


def _send_all(store: Store, job_id: int, payloads: Sequence[bytes]) -> Sequence[Changed]:
    """Wish for all of these in order, in one transaction."""
    with store.transaction():
        changes = [store.wish((job_id,), "send", one) for one in payloads]
    return changes[0]


def send(ctx: Context, args: Args) -> Result:
    """Run `send`: a line for the standard input of a running job, or its end."""
    take_back(ctx)
    job = picking.one_job(ctx, args.job)
    if job.policy.get("interactive") != "on":
        raise Refused(f"job {job.id} does not listen: enqueue it with --interactive")
    # a text in another encoding arrives as it was typed
    data = os.fsencode(" ".join(args.text)) + (b"" if args.raw else b"\n")
    if args.eof and not args.text:
        data = b""
    elif not data:
        raise UsageError("send: --raw what? to end its input: send JOB --eof")
    # what is empty ends the input, behind all that was sent
    payloads = (data, b"") if args.eof and data else (data,)
    (change,) = ctx.write(lambda store: _send_all(store, job.id, payloads))
    if not change.done:
        return Result(notes=(f"job {job.id} {change.why}",), exit_code=EXIT_FAILED)
    ended = "; its input has ended" if args.eof else ""
    said = f"sent to job {job.id}{ended}" if data else f"the input of job {job.id} has ended"
    return say(said, {"id": job.id, "bytes": len(data), "eof": args.eof})
