"""Words as a shell reads them."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.commands.drafts import split_line
from queuectl.quoting import split_words
from queuectl.template import read_template

if TYPE_CHECKING:
    from tests.support.session import Session

#: what means something inside quotes, and enough beside it; nothing that a shell would expand
_PIECES = st.sampled_from(
    ["a", "é", " ", "\t", "\n", "'x y'", "''", "'\\'", '"x y"', '""', "#", "=", "\\\\", "\\ ", "\\'", '\\"', "\\$",
     "\\`", "\\;", "\\\n", '"\\$HOME"', '"\\`"', '"\\\\"', '"\\""', '"\\x"', "\"'\"", '"a\\\nb"', '"\\\'"']
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('sh -c "echo [\\$1]" sh', ["sh", "-c", "echo [$1]", "sh"]),
        ('"\\` \\" \\\\ \\x \\\'"', ["` \" \\ \\x \\'"]),
        ('"a\\\nb" a\\\nb a \\\n b', ["ab", "ab", "a", "b"]),
        ("a;b|c #d $e", ["a;b|c", "#d", "$e"]),
        ("'' \"\" \\ ", ["", "", " "]),
        (" \n", []),
    ],
)
def test_a_backslash_means_what_posix_says(line: str, words: list[str]) -> None:
    """Inside double quotes only before a few characters."""
    assert split_words(line) == words


@pytest.mark.parametrize("line", ["'a", '"a', '"a\\"', "a \\"])
def test_what_has_no_end_is_refused(line: str) -> None:
    """As shlex does, with its reasons."""
    with pytest.raises(ValueError, match="No "):
        split_words(line)


@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_what_is_quoted_is_read_back(texts: list[str]) -> None:
    """Quoting and reading are inverse, for any words."""
    assert split_words(shlex.join(texts)) == texts


@given(st.lists(_PIECES, max_size=8).map(lambda pieces: "a " + "".join(pieces)))
def test_a_shell_reads_the_same_words(line: str) -> None:
    """Whatever is quoted how; newlines are blanks here, and # begins no comment."""
    line = line.replace(" #", " x").replace("\t#", "\tx").replace("\n#", "\nx")
    unbroken = line.replace("\\\n", "\0").replace("\n", " ").replace("\0", "\\\n")
    done = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\0' {unbroken}"], capture_output=True, check=True
    )
    assert split_words(unbroken) == done.stdout.decode().split("\0")[:-1]


def test_commands_without_a_shell_are_split_so(session: Session) -> None:
    """At the prompt, in scripts, and those of queues."""
    assert split_line('sh -c "echo [\\$HOME]"') == ["sh", "-c", "echo [$HOME]"]
    assert read_template('sh -c "echo [\\$1]" sh').words == ("sh", "-c", "echo [$1]", "sh")
    session.result('enqueue --no-shell sh -c "echo [\\$HOME]"')
    job = session.store.get(1)
    assert job is not None
    assert job.args == ("-c", "echo [$HOME]")
