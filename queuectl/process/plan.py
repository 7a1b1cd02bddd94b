"""What one attempt needs, worked out from its claim. Pure, but for `account_env`."""

from __future__ import annotations

from functools import lru_cache

from queuectl.record import Record
from queuectl.resources import variables
from queuectl.settings import BY_NAME, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.job import Claim
    from queuectl.resources import Share
    from queuectl.settings import Value

ERROR_FILE_VARIABLE = "QUEUECTL_ERROR_FILE"
ERROR_FILE_SUFFIX = ".error"
_YES = frozenset(("1", "true", "yes", "on"))


class Plan(Record):
    """Everything one attempt needs. Times are milliseconds, 0 for none."""

    argv: tuple[str, ...]
    #: absolute directory
    cwd: str
    #: the whole environment, but for QUEUECTL_ERROR_FILE
    env: Mapping[str, str]
    #: bytes for its standard input; None: /dev/null
    stdin: bytes | None = None
    #: instead: a file to open
    stdin_path: str | None = None
    #: standard input stays open for `Control.send`
    interactive: bool = False
    #: one pipe for both streams: their order is exact, their difference gone
    merge: bool = False
    timeout: int = 0
    idle_timeout: int = 0
    #: between SIGTERM and SIGKILL; 0: SIGKILL at once
    kill_grace: int = 10_000
    #: bytes of output that are kept
    output_limit: int = 256 * 1024 * 1024
    #: whether an attempt that writes more has failed
    output_fails: bool = False
    #: where output goes that is not small; created only when needed
    output_path: str = ""
    #: the job may leave a line here about what went wrong
    error_file: str | None = None
    #: spare the rest of the group when the first process has ended by itself
    leave_children: bool = False
    #: finds processes that left the group; empty: they are not looked for
    token: str = ""


def plan_for(
    claim: Claim,
    *,
    base_env: Mapping[str, str],
    slot: int,
    output_path: str,
    share: Share | None = None,
    way_back: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan for a claimed attempt. `base_env` is what `account_env` returned.

    `share` is what it got of its host's resources, `way_back` what the function of that name
    returned. Raises BadValue when a policy of the claim holds what no setting takes.
    """
    policy = claim.policy
    return Plan(
        argv=_argv(claim, str(_setting("shell", policy.get("shell")))),
        cwd=claim.cwd,
        env={**_environment(claim, base_env, slot, share or {}), **(way_back or {})},
        stdin=claim.stdin,
        stdin_path=claim.stdin_path,
        interactive=policy.get("interactive", "") in _YES,
        merge=policy.get("merge", "") in _YES,
        timeout=int(_setting("timeout", policy.get("timeout"))),
        idle_timeout=int(_setting("idle-timeout", policy.get("idle-timeout"))),
        kill_grace=int(_setting("kill-grace", policy.get("kill-grace"))),
        output_limit=int(_setting("output-limit", policy.get("output-limit"))),
        output_fails=policy.get("output-full") == "fail",
        output_path=output_path,
        error_file=output_path + ERROR_FILE_SUFFIX,
        leave_children=policy.get("leave-children", "") in _YES,
        token=claim.token,
    )


def _environment(
    claim: Claim, base_env: Mapping[str, str], slot: int, share: Share
) -> dict[str, str]:
    """Return all but QUEUECTL_ERROR_FILE."""
    env = {
        **base_env,
        **claim.env,
        "QUEUECTL_JOB_ID": str(claim.job_id),
        "QUEUECTL_ATTEMPT": str(claim.run),
        "QUEUECTL_QUEUE": claim.queue,
        "QUEUECTL_TOKEN": claim.token,
        "QUEUECTL_SLOT": str(slot),
    }
    if claim.array_index is not None:
        env["QUEUECTL_INDEX"] = str(claim.array_index)
        env["QUEUECTL_ARRAY_ID"] = str(claim.array_id)
    if claim.needs:
        got = variables(claim.needs, share)
        # another program's variable: what the job itself says of it wins
        if "CUDA_VISIBLE_DEVICES" in claim.env:
            got.pop("CUDA_VISIBLE_DEVICES", None)
        env.update(got)
    return env


def way_back(public_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a queuectl that a job runs finds the job's store.

    `public_url` is the store's, and nothing comes of an empty one; `environ` is the host's, whose
    files the job's queuectl finds as well.
    """
    if not public_url:
        return {}
    from queuectl.paths import state_directory

    return {"QUEUECTL_STORE": public_url, "QUEUECTL_STATE_DIR": state_directory(environ)}


def account_env() -> dict[str, str]:
    """Return HOME, USER, LOGNAME and SHELL of this account, and TMPDIR of this host."""
    import os
    import pwd

    found = {"TMPDIR": os.environ.get("TMPDIR", "/tmp")}  # noqa: S108  (a default, nothing is made)
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        # an account without an entry, as containers have them
        return {**found, "HOME": "/", "SHELL": "/bin/sh"}
    return {
        **found,
        "HOME": entry.pw_dir or "/",
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
    }


def _argv(claim: Claim, shell: str) -> tuple[str, ...]:
    args = claim.args or ()
    if not claim.shell:
        return (claim.command, *args)
    # the words after the command line are $0, $1 … in it
    return (shell, "-c", claim.command, *((shell, *args) if args else ()))


@lru_cache(maxsize=256)
def _setting(name: str, text: str | None) -> Value:
    setting = BY_NAME[name]
    return parse(setting, setting.default if text is None else text)
