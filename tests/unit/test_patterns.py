"""`:::` and the replacement strings, against what GNU parallel's manual says and what a shell reads."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from queuectl.commands.expanding import expand_braces, glob_of, unquoted
from queuectl.errors import UsageError
from queuectl.patterns import (
    Argument,
    Line,
    Words,
    begins_with_replacement,
    combinations,
    read_again,
    split_line,
    split_words,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def filled(line: str) -> list[str]:
    """Return the command lines of a line, nothing being expanded."""
    pattern = split_line(line)
    assert pattern is not None
    assert isinstance(pattern.command, str)
    sources = [
        ([word.text for word in source.arguments], source.linked) for source in pattern.sources
    ]
    total, found = combinations(sources)
    command = Line(pattern.command, len(sources))
    lines = [command.fill(number, one) for number, one in enumerate(found, 1)]
    assert len(lines) == total
    return lines


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("convert {} {.}.png ::: a.jpg 'b c.jpg'", ["convert a.jpg a.png", "convert 'b c.jpg' 'b c'.png"]),
        ("gzip ::: a b", ["gzip a", "gzip b"]),
        ("echo {1} {2} ::: a b ::: 1 2", ["echo a 1", "echo a 2", "echo b 1", "echo b 2"]),
        ("echo {2}-{1} ::: a b ::: 1", ["echo 1-a", "echo 1-b"]),
        ("echo ::: a b ::: 1", ["echo a 1", "echo b 1"]),
        ("echo {} ::: a b ::: 1", ["echo a 1", "echo b 1"]),
        ("echo {-1} ::: a ::: 1", ["echo 1"]),
        ("echo {1} {2} ::: a b :::+ 1 2 3", ["echo a 1", "echo b 2"]),
        ("echo {1}{2}{3} ::: a b :::+ 1 2 ::: x y", ["echo a1x", "echo a1y", "echo b2x", "echo b2y"]),
        ("echo {#} ::: a b", ["echo 1", "echo 2"]),
        ("echo {/} {//} {/.} {.} ::: d/e.f/g.tar.gz", ["echo g.tar.gz d/e.f g.tar d/e.f/g.tar"]),
        ("echo {1/} {1//} {1/.} {1.} ::: d.e/g", ["echo g d.e g d.e/g"]),
        ("echo {//} ::: a / /a a/", ["echo .", "echo /", "echo /", "echo ."]),
        ("::: 'echo a' 'ls | wc'", ["echo a", "ls | wc"]),
        ("{} ::: 'echo a'", ["echo a"]),
        ("cat {} > {.}.out && echo done ::: a.x", ["cat a.x > a.out && echo done"]),
        ("awk '{print $1}' {} ::: f", ["awk '{print $1}' f"]),
        ("echo \\{} {} ::: a", ["echo \\{} a"]),
        ("echo {a} {1..2} { } ::: x", ["echo {a} {1..2} { } x"]),
        ("echo {} ::: '{}' '{#}'", ["echo '{}'", "echo '{#}'"]),
    ],
)  # fmt: skip
def test_a_job_for_each_argument(line: str, lines: list[str]) -> None:
    """In GNU parallel's order: the last source varies fastest."""
    assert filled(line) == lines


@pytest.mark.parametrize(
    "line", ["echo ':::' a", 'echo ":::" a', "echo \\::: a", "echo a:::b", "echo :::: ' ::: '", "'a ::: b'", "echo a # ::: b", "echo ::::::", ""]
)  # fmt: skip
def test_only_an_unquoted_separator_makes_a_pattern(line: str) -> None:
    """Everything else is the job's."""
    if "::::" in line and "::::::" not in line:
        line = line.replace("::::", "'::::'")
    assert split_line(line) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo :::", "nothing stands behind `:::`"),
        ("echo ::: a :::", "nothing stands behind `:::`"),
        ("echo ::::", "takes files"),
        ("echo :::+ a", "`:::+` goes with the source before it"),
        ("echo ::: a > b", "`>` behind `:::` means nothing"),
        ("echo ::: 'a", "quote ' behind `:::` is not closed"),
        ("echo {2} ::: a", "{2}: there is only one source"),
        ("echo {3.} ::: a ::: b", "{3.}: there are only 2 sources"),
        ("echo {%} ::: a", "$QUEUECTL_SLOT"),
        ("echo `basename {}` ::: a", "use $(…)"),
        ("echo ${x:-{}} ::: a", "use $(…)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(line: str, said: str) -> None:
    """In one line that says what."""
    with pytest.raises(UsageError) as caught:
        filled(line)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "command",
    ["printf '%s|' {}", 'printf "%s|" "{}"', "printf '%s|' '{}'", 'printf "%s|" "$(printf %s {})"', "printf '%s|' \"$(printf %s \"{}\")\"", "printf '%s|' {1}"],
)  # fmt: skip
@settings(max_examples=40, deadline=None)
@given(TEXT.filter(lambda text: not text.endswith("\n")))
@example("a b")
@example("'")
@example('"$(touch x)"`id`\\')
@example("-\n*")
def test_a_shell_reads_the_argument_that_was_given(command: str, argument: str) -> None:
    """Inside quotes too, and inside commands inside quotes."""
    line = Line(command, 1).fill(1, (argument,))
    ran = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, check=True, env={"LC_ALL": "C"}
    )
    assert ran.stdout == argument.encode() + b"|"


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_an_argv_is_filled_in_plainly(arguments: list[str]) -> None:
    """No quotes: no shell will read it. A word that is only {} becomes as many as there are."""
    words = Words(("x", "{}", "a{1}b", "{#}"), len(arguments))
    expected = ("x", *arguments, f"a{arguments[0]}b", "7")
    assert words.fill(7, arguments) == expected
    assert Words(("x",), len(arguments)).fill(1, arguments) == ("x", *arguments)
    together = " ".join(arguments)
    assert Words(("<{}>",), len(arguments)).fill(1, arguments) == (f"<{together}>",)


def test_words_of_a_command_line_are_taken_apart() -> None:
    """One word in front is a line for a shell, several are an argv."""
    assert split_words(("ls", "-l")) is None
    pattern = split_words(("echo {}", ":::", "a b", "*"))
    assert pattern is not None
    assert pattern.command == "echo {}"
    assert pattern.sources[0].arguments == (Argument("a b"), Argument("*"))
    pattern = split_words(("echo", "{}", "::::", "f", ":::+", "x"))
    assert pattern is not None
    assert pattern.command == ("echo", "{}")
    assert [(source.of_files, source.linked) for source in pattern.sources] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("raw", "glob"),
    [
        ("*.jpg", "*.jpg"), ("a.jpg", None), ("'*'.jpg", None), ("\\*", None), ("'a*b'*", "a[*]b*"),
        ('"[x]"*', "[[]x]*"), ("a[12]", "a[12]"), ("a[", None), ("?", "?"), ('"\\*"?', "\\[*]?"), ("\\[*", "[[]*"),
    ],
)  # fmt: skip
def test_what_is_quoted_in_a_glob_stands_for_itself(raw: str, glob: str | None) -> None:
    """As in a shell."""
    assert glob_of(raw) == glob


@pytest.mark.parametrize(
    "raw",
    ["{1..10}", "{01..3}", "{10..8}", "{0..10..5}", "{a..e}", "x{a,b}y", "{a,b}{1,2}", "{a,{b,c}}", "{a}", "{}", "'{a,b}'", "{a,'b,c'}", "a{b", "{a,}", "{1..a}", "\\{a,b}", "{-2..2}"],
)  # fmt: skip
def test_braces_are_expanded_as_bash_does(raw: str) -> None:
    """Seen by asking one."""
    try:
        ran = subprocess.run(
            ["bash", "-c", f"printf '%s\\n' {raw}"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("no bash here")
    assert [unquoted(word) for word in expand_braces(raw)] == ran.stdout.split("\n")[:-1]


def test_too_many_by_a_slip_are_refused() -> None:
    """A number too much."""
    with pytest.raises(UsageError, match="counts more than"):
        expand_braces("{1..1000000000}")


def test_json_is_told_from_a_replacement() -> None:
    """And from a group of commands."""
    assert all(map(begins_with_replacement, ("{} x", "{.}", "{#}", "{2/.}")))
    assert not any(map(begins_with_replacement, ('{"command": "x"}', "{ a; }", "{", "x{}", "{a}")))


def test_a_line_is_shown_as_it_can_be_typed() -> None:
    """Quoting is the least that is needed."""
    assert filled("echo {} ::: plain/file-1.txt") == ["echo plain/file-1.txt"]
    assert shlex.split(filled('echo {} ::: "it\'s"')[0]) == ["echo", "it's"]


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("sh -c 'echo {} | cat'", "{}"), ('bash -lc "echo {.}"', "{.}"), ("eval 'echo {}'", "{}"),
        ("ssh host 'ls {1}'", "{1}"), (("sh", "-c", "echo {} | cat"), "{}"),
        ("sh -c 'echo \"$1\"' sh {}", ""), ("printf '%s' '{}'", ""), ("echo {} -c", ""),
        (("sh", "-c", "{}"), ""), (("printf", "x {}"), ""), ("sh -c 'cd {x}'", ""),
    ],
)  # fmt: skip
def test_a_place_that_another_shell_reads_is_seen(
    command: str | tuple[str, ...], place: str
) -> None:
    """No quoting reaches through to it; what stands in quotes of this shell is safe."""
    assert read_again(command) == place
