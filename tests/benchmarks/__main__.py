"""`python -m tests.benchmarks [ROW …] [--quick | --full] [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.bench import Bench, Size
from tests.benchmarks.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run rows and print their results; the exit status does not judge them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="How fast it is, in ratios. Without names: every row.",
        epilog="\n".join(f"  {row.name:<14}{row.title}" for row in ROWS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="what to measure, see below")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small counts: does it still run?")
    sizes.add_argument("--full", action="store_true", help="the largest counts: 20 GB, an hour")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args(argv)
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]!r}: there are {', '.join(ROWS)}")
    chosen = args.rows or list(ROWS)
    if not args.rows and not args.json:
        print(parser.epilog, flush=True)
    size = Size.QUICK if args.quick else Size.FULL if args.full else Size.NORMAL
    lines = []
    with Bench(size) as bench:
        for name in chosen:
            for line in ROWS[name].measure(bench):
                lines.append(line.data())
                print(line, file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        print(json.dumps(lines, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
