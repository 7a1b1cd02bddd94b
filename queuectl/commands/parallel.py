"""`enqueue … ::: …`: a job for each argument, or each combination of arguments."""

from __future__ import annotations

from itertools import starmap

from queuectl import patterns
from queuectl.commands.drafts import Maker, directory, split_line
from queuectl.commands.expanding import expand
from queuectl.commands.jobs import no_workers, remarks_about, with_remarks
from queuectl.commands.result import Result, Text
from queuectl.commands.tally import add_in_pieces, dry_run
from queuectl.errors import Refused, UsageError
from queuectl.grammar.selection import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.context import Context
    from queuectl.grammar.table import Args, Tail
    from queuectl.job import NewJob
    from queuectl.patterns import Pattern, Source

#: jobs of one pattern at the most: a slip with several ::: makes millions
MOST = 10_000_000


def pattern_of(tail: Tail) -> Pattern | None:
    """Return the pattern that a tail is, None for any other. Raises UsageError."""
    if tail.words is not None:
        pattern = patterns.split_words(tail.words)
        first = tail.words[0]
        if pattern and first.startswith("{") and not patterns.begins_with_replacement(first):
            raise UsageError("enqueue: a job as JSON takes no :::")
        return pattern
    text = tail.text or ""
    if text.startswith("{") and not patterns.begins_with_replacement(text):
        # JSON
        return None
    return patterns.split_line(text)


def enqueue_many(ctx: Context, args: Args) -> Result:
    """Enqueue the job of every combination, all of them or none."""
    if args.array is not None:
        raise UsageError("enqueue: --array and ::: exclude each other")
    if args.keep_going:
        raise UsageError("enqueue: --keep-going is for many lines: enqueue --from FILE")
    pattern = pattern_of(args.job)
    assert pattern is not None  # noqa: S101 (queuectl.commands.jobs has asked)
    maker = Maker(ctx, args)
    if not isinstance(pattern.command, str) and "shell" in maker.flags:
        raise UsageError("enqueue: --shell takes a command line: put it in quotes, as one word")
    sources = [found for source in pattern.sources for found in values_of(ctx, source)]
    total, arguments = patterns.combinations(sources)
    if not total:
        raise Refused("there are no arguments behind :::")
    if total > MOST:
        raise UsageError(f"that would be {total:,} jobs: more than {MOST:,} at once")
    jobs = _jobs(maker, pattern, len(sources), arguments, args.name)
    if args.dry_run:
        found = list(jobs)
        return dry_run(ctx, found, tuple(_remarks(ctx, args, pattern, found[0])))
    seen: list[NewJob] = []
    tally = add_in_pieces(ctx, _remembering_first(jobs, seen), total)
    if args.quiet:
        return tally.quiet()
    if not tally.jobs:
        return Result(tally.data, (Text("nothing enqueued"),), tally.remarks)
    like = seen[0]._replace(name=args.name and _template(args.name))
    text = f"{tally.in_words} enqueued: {with_remarks(ctx, _shown(pattern), like)}"
    notes = (
        *tally.remarks,
        *_remarks(ctx, args, pattern, seen[0]),
        *no_workers(ctx, seen[0].queue, seen[0].needs),
    )
    return Result(tally.data, (Text(text),), notes)


def _remembering_first(jobs: Iterator[NewJob], seen: list[NewJob]) -> Iterator[NewJob]:
    for job in jobs:
        if not seen:
            seen.append(job)
        yield job


def _remarks(ctx: Context, args: Args, pattern: Pattern, new: NewJob) -> Iterator[str]:
    yield from remarks_about(ctx, args, new)
    place = patterns.read_again(pattern.command)
    if place:
        yield (
            f"{place} stands in code of its own, and another shell will read what is in the name:"
            f" sh -c '… \"$1\"' sh {place} passes it as an argument"
        )


def _shown(pattern: Pattern) -> str:
    if isinstance(pattern.command, str):
        return pattern.command or "{}"
    import shlex

    # a shell would have to be told that braces are meant, a reader need not
    return " ".join(
        word if patterns.begins_with_replacement(word) else shlex.quote(word)
        for word in pattern.command
    )


def _jobs(
    maker: Maker,
    pattern: Pattern,
    sources: int,
    arguments: Iterator[tuple[str, ...]],
    name: str | None,
) -> Iterator[NewJob]:
    """Return the job of each combination, made when it is asked for. Raises UsageError at once."""
    command = pattern.command
    if isinstance(command, str) and not maker.no_shell:
        line = patterns.Line(command, sources)

        def make(number: int, one: tuple[str, ...]) -> NewJob:
            return maker.from_line(line.fill(number, one), verbatim=True)
    else:
        given = split_line(command) if isinstance(command, str) else command
        words = patterns.Words(given, sources)

        def make(number: int, one: tuple[str, ...]) -> NewJob:
            return maker.from_words(words.fill(number, one))

    if name is None:
        return starmap(make, enumerate(arguments, 1))
    call = _namer(name, sources)
    return (
        make(number, one)._replace(name=call(number, one))
        for number, one in enumerate(arguments, 1)
    )


def _template(name: str) -> str:
    """Return what the jobs are called, with replacement strings: without any, by their numbers."""
    holds = any(
        patterns.begins_with_replacement(name[at:])
        for at, letter in enumerate(name)
        if letter == "{"
    )
    return name if holds else f"{name}-{{#}}"


def _namer(name: str, sources: int) -> Callable[[int, Sequence[str]], str]:
    """Return what gives each job its name. Raises UsageError, also for two of the same name."""
    template = _template(name)
    words = patterns.Words((template,), sources)
    seen: set[str] = set()

    def call(number: int, arguments: Sequence[str]) -> str:
        called = check_name(" ".join(words.fill(number, arguments)))
        if called in seen:
            raise UsageError(
                f"enqueue: two jobs would have the name {called}: add another place,"
                f" --name '{template}-{{#}}'"
            )
        seen.add(called)
        return called

    return call


# ---- arguments ----------------------------------------------------------------------------------


def values_of(ctx: Context, source: Source) -> Iterator[tuple[Sequence[str], bool]]:
    """Yield the arguments of a source, and whether it is linked; each file is a source of its own."""
    words: list[str] = []
    for argument in source.arguments:
        # a shell in front has expanded it already
        words += (argument.text,) if argument.raw is None else expand(argument.raw, ctx.cwd)
    if source.of_files:
        for path in words:
            yield _lines(ctx, path), source.linked
    else:
        yield words, source.linked


def _lines(ctx: Context, path: str) -> Sequence[str]:
    """Return the lines of a file, `-` being standard input. Raises UsageError."""
    if path == "-":
        from queuectl.commands.bulk import open_source

        with open_source(ctx, path, "enqueue … ::::") as source:
            data: bytes = source.read()
    else:
        try:
            with open(directory(ctx, path), "rb") as file:
                data = file.read()
        except OSError as error:
            raise UsageError(f":::: {path}: {error.strerror}") from None
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if not lines[-1]:
        # what ends with a newline has no line behind it
        lines.pop()
    return lines
