"""What a host has for its jobs besides workers, and what a job needs of it. Pure.

`gpu=2` on a host is two numbered items, 0 and 1: a job that needs one is told which it got. Items
may have names, and one that is there twice is shared by two jobs. `mem=24G` is an amount. What has
no unit and is at most MOST_ITEMS is items. A job's needs are whole numbers by name; `slots` among
them are workers, and are asked for with --slots.
"""

from __future__ import annotations

from queuectl.errors import UsageError, nearest
from queuectl.job import SLOTS
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    #: an item's number or name
    Item = int | str
    #: what one job got: its items, or an amount
    Share = Mapping[str, tuple[Item, ...] | int]

#: more of a resource than this is an amount, not items
MOST_ITEMS = 1024
#: so that sums of many fit a store's integers
_MOST = 2**60
_LONGEST_NAME = 32
_UNITS = {
    "b": 1,
    "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4,
    "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
}  # fmt: skip
_LARGE = (("T", 1024**4), ("G", 1024**3), ("M", 1024**2), ("K", 1024))
#: what CUDA goes by
VISIBLE = "CUDA_VISIBLE_DEVICES"
_NOT_IN_ITEMS, _LONGEST_ITEM = frozenset(" ,[]"), 128
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz")
_LETTERS = _FIRST | frozenset("0123456789-_")
#: names whose variables, QUEUECTL_…, mean something else in a job or to queuectl itself
_TAKEN = frozenset((
    "job-id", "attempt", "queue", "token", "slot", "index", "array-id", "error-file", "message",
    "store", "state-dir", "config", "failpoint",
))  # fmt: skip


class Resource(Record):
    """What a host has of one resource."""

    total: int
    #: its items: numbers ascending, then names as they were given; None: it is an amount
    items: tuple[Item, ...] | None = None
    #: whether these items were given, not counted
    given: bool = False
    #: those that are counted; None: the numbers from 0
    among: tuple[Item, ...] | None = None


def parse_needs(text: str) -> dict[str, int]:
    """Return what `gpu=1,mem=8G` asks for, by name. Raises UsageError naming the fault."""
    needs: dict[str, int] = {}
    for name, value in _pairs(text, "need", "gpu=1"):
        if name in needs:
            raise UsageError(f"need {text!r}: {name} is there twice")
        needs[name] = _amount(value, "need", name)[0]
    return needs


def read_needs(given: object) -> dict[str, int]:
    """Return needs given as a text or as a mapping from names to numbers or texts, as in JSON.

    Here `slots` may be among them. Raises UsageError.
    """
    if isinstance(given, str):
        return parse_needs(given)
    if not isinstance(given, dict):
        raise UsageError('needs: give an object such as {"gpu": 1, "mem": "8G"}')
    needs = {}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise UsageError(
                f"need {key}: {value!r} is not a whole number from 1, or one with a unit"
            )
        if key == SLOTS:
            needs[SLOTS] = parse_slots(str(value))
        else:
            name = check_name(str(key), "need")
            needs[name] = _amount(str(value), "need", name)[0]
    return needs


def parse_slots(text: str) -> int:
    """Return how many workers a job takes. Raises UsageError."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST_ITEMS:
        raise UsageError(f"slots: {text!r} is not a number of workers from 1 to {MOST_ITEMS}")
    return int(text)


def parse_resources(
    texts: Iterable[str], environ: Mapping[str, str] | None = None
) -> dict[str, Resource]:
    """Return what a host has: of `gpu=2,mem=24G`, or `gpu=[0,3,5-7]` with the items' own numbers.

    A number of `gpu` is so many of those that CUDA_VISIBLE_DEVICES leaves the host, if `environ`
    has that. What is given several times adds up. Raises UsageError.
    """
    found: dict[str, Resource] = {}
    for text in texts:
        for name, value in _pairs(text, "resource", "gpu=2"):
            fresh = _resource(name, value, visible(environ or {}) if name == "gpu" else None)
            found[name] = added(name, found[name], fresh) if name in found else fresh
    return found


def added(name: str, old: Resource, more: Resource) -> Resource:
    """Return both together. Numbers that were not given but counted go on from those there are.

    Raises UsageError where that makes no sense: an item twice, items and an amount.
    """
    total = old.total + more.total
    if (old.items is None) != (more.items is None):
        kinds = ("an amount", "items") if old.items is None else ("items", "an amount")
        raise UsageError(f"resource {name}: it is {kinds[0]} already and cannot be {kinds[1]} too")
    if old.items is None or more.items is None:
        return Resource(total)
    items = more.items if more.given else _unused(name, old.items, more.total, more.among)
    twice = [item for item in items if item in old.items]
    if twice:
        raise UsageError(f"resource {name}: item {twice[0]} is there already")
    if total > MOST_ITEMS:
        raise UsageError(f"resource {name}: {total} items are more than {MOST_ITEMS}")
    among = more.among if old.among is None else old.among
    return Resource(total, _in_order((*old.items, *items)), old.given or more.given, among)


def visible(environ: Mapping[str, str]) -> tuple[Item, ...] | None:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, None where it is not set.

    As CUDA reads it: what is no GPU, such as -1, ends the list.
    """
    text = environ.get(VISIBLE)
    if text is None:
        return None
    found: dict[Item, None] = {}
    for part in text.split(","):
        item = _item(part.strip())
        if item is None:
            break
        found[item] = None
    return tuple(found)


def format_needs(needs: Mapping[str, int]) -> str:
    """Return needs, or totals, as text that `parse_needs` reads again: `gpu=1,mem=8G`."""
    return ",".join(f"{name}={format_amount(needs[name])}" for name in sorted(needs))


def format_amount(amount: int) -> str:
    """Return the shortest exact form of an amount: `2`, `24G`, `1500`."""
    for unit, size in _LARGE:
        if amount and amount % size == 0:
            return f"{amount // size}{unit}"
    return str(amount)


def describe(needs: Mapping[str, int]) -> str:
    """Return needs, or totals, for reading: `2 slots, gpu 1, mem 8G`."""
    parts = [f"{name} {format_amount(needs[name])}" for name in sorted(needs) if name != SLOTS]
    slots = needs.get(SLOTS, 1)
    return ", ".join(([f"{slots} slots"] if slots > 1 else []) + parts)


def variables(needs: Mapping[str, int], share: Share) -> dict[str, str]:
    """Return what a job finds in its environment about what it got.

    Items of `gpu` are also in CUDA_VISIBLE_DEVICES.
    """
    found = {}
    if SLOTS in needs:
        found["QUEUECTL_SLOTS"] = str(needs[SLOTS])
    for name, got in share.items():
        # an item of which it got two shares is one item
        value = str(got) if isinstance(got, int) else ",".join(map(str, dict.fromkeys(got)))
        found["QUEUECTL_" + name.upper().replace("-", "_")] = value
        if name == "gpu" and not isinstance(got, int):
            found[VISIBLE] = value
    return found


class Stock:
    """What a host has and what is promised to jobs. Not thread-safe: its owner has a lock.

    Amounts are promised with a claim; which items they are is decided when the job starts.
    """

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}
        self._promised: dict[str, int] = {}
        #: items that jobs have, as often as they are shared
        self._taken: dict[str, list[Item]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything at all."""
        return bool(self._resources)

    def add(self, more: Mapping[str, Resource]) -> None:
        """Have more, all of it or nothing. Raises UsageError, see `added`."""
        fresh = {
            name: added(name, self._resources[name], new) if name in self._resources else new
            for name, new in more.items()
        }
        self._resources.update(fresh)

    @property
    def total(self) -> dict[str, int]:
        """Amounts in all, by name."""
        return {name: resource.total for name, resource in self._resources.items()}

    @property
    def free(self) -> dict[str, int]:
        """Amounts that are not promised."""
        return {
            name: max(0, total - self._promised.get(name, 0)) for name, total in self.total.items()
        }

    def promise(self, needs: Mapping[str, int]) -> None:
        """Keep what a claim needs for it."""
        for name, amount in needs.items():
            self._promised[name] = self._promised.get(name, 0) + amount

    def take_back(self, needs: Mapping[str, int], share: Share | None = None) -> None:
        """Have again what was promised to a claim, and the items that its job got."""
        for name, amount in needs.items():
            self._promised[name] = self._promised.get(name, 0) - amount
        for name, got in (share or {}).items():
            if not isinstance(got, int):
                for item in got:
                    self._taken[name].remove(item)

    def share(self, needs: Mapping[str, int]) -> Share:
        """Return what a job gets of what was promised to it: of items the first that are free.

        Of shared ones those that the fewest jobs have, and as many different ones as there are.
        """
        got: dict[str, tuple[Item, ...] | int] = {}
        for name, amount in needs.items():
            resource = self._resources.get(name)
            if name == SLOTS or resource is None:
                continue
            if resource.items is None:
                got[name] = amount
                continue
            taken = self._taken.setdefault(name, [])
            got[name] = items = tuple(_pick(resource.items, taken, amount))
            taken += items
        return got


def check_name(name: str, what: str) -> str:
    """Return the name of a resource, `_` and `-` being equal. Raises UsageError."""
    plain = name.replace("_", "-")
    if plain == SLOTS:
        raise UsageError(
            f"{what} slots: they are workers: "
            + ("use --slots N" if what == "need" else "start more of them")
        )
    if not name or name[0] not in _FIRST or not _LETTERS.issuperset(name):
        raise UsageError(
            f"{what} {name!r}: a name is of small letters, digits and hyphens, such as gpu"
        )
    if len(name) > _LONGEST_NAME or plain in _TAKEN:
        why = "it means something else" if plain in _TAKEN else "it is too long"
        raise UsageError(f"{what} {name!r} cannot be a resource's name: {why}")
    return plain


def _pairs(text: str, what: str, example: str) -> Iterator[tuple[str, str]]:
    """Yield names and values. Commas within brackets belong to the value."""
    for part in _split(text):
        name, equals, value = part.partition("=")
        if not part or not equals:
            name, colon, amount = part.partition(":")
            if colon and name and amount:
                raise UsageError(f"{what} {part!r}: did you mean {name}={amount}?")
            raise UsageError(f"{what} {part or text!r} is not NAME=AMOUNT, such as {example}")
        yield check_name(name.strip(), what), value.strip()


def _split(text: str) -> Iterator[str]:
    part = ""
    depth = 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()


def _amount(text: str, what: str, name: str) -> tuple[int, bool]:
    """Return an amount, and whether it had no unit. Raises UsageError."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text[len(digits) :].strip().lower()
    plain = digits.isascii() and digits.isdigit() and len(digits) <= 18
    if not plain or unit not in {"", *_UNITS}:
        near = nearest(unit, _UNITS) if plain else None
        # as people write it: GiB, MB, G
        close = f"; did you mean {digits}{near.upper().replace('I', 'i')}?" if near else ""
        raise UsageError(
            f"{what} {name}: {text!r} is not a whole number from 1, or one with a unit such as 8G{close}"
        )
    amount = int(digits) * _UNITS.get(unit, 1)
    if not 1 <= amount <= _MOST:
        bound = "less than 1" if amount < 1 else "too much"
        raise UsageError(f"{what} {name}: {text} is {bound}")
    return amount, not unit


def _resource(name: str, value: str, among: tuple[Item, ...] | None = None) -> Resource:
    if value.startswith("["):
        items = _items(name, value)
        return Resource(len(items), items, given=True)
    total, plain = _amount(value, "resource", name)
    if plain and total <= MOST_ITEMS:
        return Resource(total, _unused(name, (), total, among), among=among)
    return Resource(total)


def _items(name: str, text: str) -> tuple[Item, ...]:
    """Return the items that `[0,3,5-7]` or `[GPU-1a2b,MIG-3c]` names. Raises UsageError."""
    bad = UsageError(f"resource {name}: {text!r} is not a list of items such as [0,2] or [0-3]")
    if not text.endswith("]"):
        raise bad
    items: list[Item] = []
    for part in (piece.strip() for piece in text[1:-1].split(",")):
        item = _item(part)
        if item is not None:
            items.append(item)
            continue
        low, _, high = (piece.strip() for piece in part.partition("-"))
        span = range(0)
        if _is_number(low) and _is_number(high):
            span = range(int(low), int(high) + 1)
        if not 0 < len(span) <= MOST_ITEMS:
            raise bad
        items += span
    if len(items) > MOST_ITEMS:
        raise bad
    return _in_order(items)


def _item(text: str) -> Item | None:
    """Return an item's number, or its name, which has a letter; None for what is neither."""
    if _is_number(text):
        return int(text)
    plain = text.isprintable() and not _NOT_IN_ITEMS.intersection(text)
    return text if plain and len(text) <= _LONGEST_ITEM and any(map(str.isalpha, text)) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return numbers ascending, and behind them names in the order they have."""
    return tuple(sorted(items, key=lambda item: (0, item) if isinstance(item, int) else (1, 0)))


def _unused(
    name: str, items: Sequence[Item], count: int, among: tuple[Item, ...] | None
) -> tuple[Item, ...]:
    """Return the first items that are not among some. Raises UsageError where there are fewer."""
    source = range(len(items) + count) if among is None else among
    found = [item for item in source if item not in items][:count]
    if len(found) < count:
        raise UsageError(
            f"resource {name}: {VISIBLE} leaves this host {len(among or ()) or 'none'}, not"
            f" {len(items) + count}: a list such as {name}=[0,1] is taken as it is"
        )
    return tuple(found)


def _pick(items: Sequence[Item], taken: Sequence[Item], amount: int) -> Iterator[Item]:
    """Yield items with shares that are free: of each one before a second of any, least used first."""
    used, left = dict.fromkeys(items, 0), dict.fromkeys(items, 0)
    for item in items:
        left[item] += 1
    for item in taken:
        used[item] += 1
        left[item] -= 1
    while amount > 0 and any(left.values()):
        for item in sorted((item for item in left if left[item] > 0), key=used.__getitem__):
            if amount > 0:
                yield item
                left[item] -= 1
                amount -= 1
