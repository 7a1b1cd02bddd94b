"""What hosts have and jobs need: reading it, showing it, and who gets what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import UsageError
from queuectl.resources import (
    MOST_ITEMS,
    Resource,
    Stock,
    describe,
    format_amount,
    format_needs,
    parse_needs,
    parse_resources,
    parse_slots,
    read_needs,
    variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.resources import Share

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("gpu=1", {"gpu": 1}),
        ("gpu=1,mem=8G", {"gpu": 1, "mem": 8 * GIB}),
        (" gpu = 2 , mem=500 MiB ", {"gpu": 2, "mem": 500 * 1024**2}),
        ("mem=1GB", {"mem": 1000**3}),
        ("mem=2t", {"mem": 2 * 1024**4}),
        ("big_disk=1", {"big-disk": 1}),
    ],
)
def test_needs(text: str, needs: dict[str, int]) -> None:
    assert parse_needs(text) == needs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "need '' is not NAME=AMOUNT, such as gpu=1"),
        ("gpu", "need 'gpu' is not NAME=AMOUNT"),
        ("gpu=1,", "is not NAME=AMOUNT"),
        ("gpu=", "need gpu: '' is not a whole number from 1"),
        ("gpu=0", "need gpu: 0 is less than 1"),
        ("gpu=-1", "need gpu: '-1' is not a whole number from 1"),
        ("gpu=0.5", "need gpu: '0.5' is not a whole number from 1"),
        ("gpu=²", "is not a whole number"),
        ("mem=8GiBs", "did you mean 8GiB?"),
        ("mem=8Mi", "did you mean 8MiB?"),
        ("mem=999999999T", "need mem: 999999999T is too much"),
        ("gpu=1,gpu=2", "gpu is there twice"),
        ("a-b=1,a_b=2", "a-b is there twice"),
        ("slots=2", "need slots: they are workers: use --slots N"),
        ("GPU=1", "need 'GPU': a name is of small letters, digits and hyphens, such as gpu"),
        ("1gpu=1", "a name is of small letters"),
        ("é=1", "a name is of small letters"),
        ("token=1", "need 'token' cannot be a resource's name: it means something else"),
        ("job_id=1", "it means something else"),
        (f"{'a' * 33}=1", "it is too long"),
    ],
)
def test_bad_needs_are_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_needs(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_needs_as_in_json() -> None:
    assert read_needs({"gpu": 1, "mem": "8G", "slots": 2}) == {"gpu": 1, "mem": 8 * GIB, "slots": 2}
    assert read_needs("gpu=1") == {"gpu": 1}


@pytest.mark.parametrize(
    "given", [["gpu"], 3, {"gpu": True}, {"gpu": 1.5}, {"gpu": None}, {"gpu": 0}, {"slots": 0}]
)
def test_bad_needs_in_json(given: object) -> None:
    with pytest.raises(UsageError):
        read_needs(given)


@pytest.mark.parametrize(("text", "slots"), [("1", 1), ("16", 16)])
def test_slots(text: str, slots: int) -> None:
    assert parse_slots(text) == slots


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "", "99999999999", "²"])
def test_bad_slots(text: str) -> None:
    with pytest.raises(UsageError, match="is not a number of workers from 1 to 1024"):
        parse_slots(text)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["gpu=2"], {"gpu": Resource(2, (0, 1))}),
        (["gpu=2", "mem=24G"], {"gpu": Resource(2, (0, 1)), "mem": Resource(24 * GIB)}),
        (["gpu=1,gpu=2"], {"gpu": Resource(3, (0, 1, 2))}),
        (["gpu=[0,2,5]"], {"gpu": Resource(3, (0, 2, 5), given=True)}),
        (["gpu=[4-6, 1],mem=1k"], {"gpu": Resource(4, (1, 4, 5, 6), given=True), "mem": Resource(1024)}),
        (["gpu=[1]", "gpu=2"], {"gpu": Resource(3, (0, 1, 2), given=True)}),
        (["gpu=[1,0,0,1]"], {"gpu": Resource(4, (0, 0, 1, 1), given=True)}),
        (["gpu=[GPU-1a2b, 3,MIG-3c]"], {"gpu": Resource(3, (3, "GPU-1a2b", "MIG-3c"), given=True)}),
        (["tickets=5000"], {"tickets": Resource(5000)}),
        (["mem=512B"], {"mem": Resource(512)}),
    ],
)  # fmt: skip
def test_resources(texts: list[str], found: dict[str, Resource]) -> None:
    assert parse_resources(texts) == found


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["gpu=[]"], "'[]' is not a list of items such as [0,2] or [0-3]"),
        (["gpu=[0"], "is not a list of items"),
        (["gpu=[2-0]"], "is not a list of items"),
        (["gpu=[0,]"], "is not a list of items"),
        (["gpu=[-1]"], "is not a list of items"),
        (["gpu=[a b]"], "is not a list of items"),
        (["gpu=[a[b]]"], "is not a list of items"),
        (["gpu=[a\x1b]"], "is not a list of items"),
        (["gpu=[0]", "gpu=[0]"], "item 0 is there already"),
        (["gpu=[MIG-3c]", "gpu=[MIG-3c]"], "item MIG-3c is there already"),
        (["gpu=2", "gpu=2G"], "it is items already and cannot be an amount too"),
        (["mem=2G", "mem=2"], "it is an amount already and cannot be items too"),
        ([f"gpu={MOST_ITEMS}", "gpu=1"], "1025 items are more than 1024"),
        (["slots=2"], "resource slots: they are workers: start more of them"),
    ],
)
def test_bad_resources(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_resources(texts)
    assert says in str(caught.value)


NAMES = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z").filter(lambda n: n not in {"slots", "slot", "queue", "token", "index", "store", "attempt", "message", "config", "job-id"})  # fmt: skip


@given(st.dictionaries(NAMES, st.integers(1, 2**50), min_size=1, max_size=4))
def test_needs_survive_being_written_and_read(needs: dict[str, int]) -> None:
    assert parse_needs(format_needs(needs)) == needs


RESOURCES = st.one_of(
    st.integers(1, 2**50).map(Resource),
    st.integers(1, MOST_ITEMS).map(lambda n: Resource(n, tuple(range(n)))),
    st.sets(st.integers(5, 99), min_size=1).map(
        lambda s: Resource(len(s), tuple(sorted(s)), given=True)
    ),
)


def typed(resources: Mapping[str, Resource]) -> str:
    """Return the text that somebody would type for these resources."""
    parts = []
    for name in sorted(resources):
        total, items = resources[name][:2]
        if items is None:
            text = format_amount(total)
            parts.append(f"{name}={text}" + ("B" if text.isdigit() and total <= MOST_ITEMS else ""))
        elif items == tuple(range(total)):
            parts.append(f"{name}={total}")
        else:
            parts.append(f"{name}=[{','.join(map(str, items))}]")
    return ",".join(parts)


@given(st.dictionaries(NAMES, RESOURCES, min_size=1, max_size=4))
def test_resources_survive_being_written_and_read(resources: dict[str, Resource]) -> None:
    assert parse_resources([typed(resources)]) == resources


def test_amounts_are_short() -> None:
    assert [format_amount(n) for n in (1, 1000, 1024, 24 * GIB, GIB + 1)] == [
        "1", "1000", "1K", "24G", "1073741825",
    ]  # fmt: skip


def test_needs_for_reading() -> None:
    assert describe({"gpu": 1, "mem": 8 * GIB, "slots": 2}) == "2 slots, gpu 1, mem 8G"
    assert describe({"slots": 1}) == ""


# ---- who gets what ------------------------------------------------------------------------------


def stock(*texts: str) -> Stock:
    made = Stock()
    made.add(parse_resources(texts))
    return made


def test_the_lowest_free_items_are_given_first() -> None:
    host = stock("gpu=3")
    first, second = {"gpu": 1}, {"gpu": 2}
    host.promise(first)
    host.promise(second)
    one, two = host.share(first), host.share(second)
    assert (one, two) == ({"gpu": (0,)}, {"gpu": (1, 2)})
    host.take_back(first, one)
    host.promise(first)
    assert host.share(first) == {"gpu": (0,)}


def test_amounts_are_counted() -> None:
    host = stock("mem=24G,gpu=1")
    assert host.free == host.total == {"mem": 24 * GIB, "gpu": 1}
    host.promise({"mem": 8 * GIB, "slots": 2})
    assert host.free == {"mem": 16 * GIB, "gpu": 1}
    assert host.share({"mem": 8 * GIB, "slots": 2}) == {"mem": 8 * GIB}
    host.take_back({"mem": 8 * GIB, "slots": 2}, {"mem": 8 * GIB})
    assert host.free == host.total


def test_an_item_that_is_there_twice_is_shared_by_two_jobs() -> None:
    """They are spread over the items first, and one job gets different ones while it can."""
    host = stock("gpu=[0,0,1,1]")
    one = {"gpu": 1}
    got = [host.share(one) for _ in range(4)]
    assert got == [{"gpu": (0,)}, {"gpu": (1,)}, {"gpu": (0,)}, {"gpu": (1,)}]
    host.take_back(one, got[1])
    assert host.share(one) == {"gpu": (1,)}
    whole = stock("gpu=[0,0,1,1]").share({"gpu": 3})
    assert whole == {"gpu": (0, 1, 0)}
    assert variables({"gpu": 3}, whole)["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_named_items_are_given_by_name() -> None:
    host = stock("gpu=[MIG-3c,GPU-1a2b]")
    got = host.share({"gpu": 2})
    assert variables({"gpu": 2}, got)["QUEUECTL_GPU"] == "MIG-3c,GPU-1a2b"


@pytest.mark.parametrize(
    ("variable", "items"),
    [
        ("2,3", (2, 3)), ("3,2,1", (3, 2)), ("MIG-a,GPU-b", ("MIG-a", "GPU-b")),
        ("2, 5,-1,7", (2, 5)), ("4,4,5", (4, 5)),
    ],
)  # fmt: skip
def test_gpus_by_number_are_those_the_host_may_use(
    variable: str, items: tuple[object, ...]
) -> None:
    """In the order of CUDA_VISIBLE_DEVICES; a list of the items themselves is taken as it is."""
    environ = {"CUDA_VISIBLE_DEVICES": variable}
    assert set(parse_resources(["gpu=2"], environ)["gpu"].items or ()) == set(items)
    assert parse_resources(["gpu=[0,1]"], environ)["gpu"].items == (0, 1)
    assert parse_resources(["disk=2"], environ)["disk"].items == (0, 1)


def test_more_gpus_by_number_go_on_from_those_there_are() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "4,2,3"}
    host = Stock()
    host.add(parse_resources(["gpu=2"], environ))
    host.add(parse_resources(["gpu=1"], environ))
    assert host.share({"gpu": 3}) == {"gpu": (2, 3, 4)}
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES leaves this host 3, not 4"):
        host.add(parse_resources(["gpu=1"], environ))


@pytest.mark.parametrize(
    ("variable", "says"), [("2", "leaves this host 1, not 2"), ("", "leaves this host none, not 2"), ("-1", "none, not 2")]
)  # fmt: skip
def test_gpus_that_the_host_may_not_use_are_not_given(variable: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_resources(["gpu=2"], {"CUDA_VISIBLE_DEVICES": variable})
    assert says in str(caught.value)


def test_what_is_promised_and_never_started_comes_back() -> None:
    host = stock("gpu=1")
    host.promise({"gpu": 1})
    assert host.free == {"gpu": 0}
    host.take_back({"gpu": 1})
    assert host.free == {"gpu": 1}


def test_more_adds_up_or_changes_nothing() -> None:
    host = stock("gpu=2,mem=1G")
    host.add(parse_resources(["gpu=1"]))
    assert host.total == {"gpu": 3, "mem": GIB}
    with pytest.raises(UsageError):
        host.add(parse_resources(["gpu=1,mem=1"]))
    assert host.total == {"gpu": 3, "mem": GIB}


def test_what_a_job_finds_in_its_environment() -> None:
    share: Share = {"gpu": (0, 3), "mem": 8 * GIB, "big-disk": (1,)}
    assert variables({"gpu": 2, "mem": 8 * GIB, "big-disk": 1, "slots": 2}, share) == {
        "QUEUECTL_SLOTS": "2", "QUEUECTL_GPU": "0,3", "CUDA_VISIBLE_DEVICES": "0,3",
        "QUEUECTL_MEM": "8589934592", "QUEUECTL_BIG_DISK": "1",
    }  # fmt: skip
    # an amount of GPUs says nothing about which
    assert variables({"gpu": 2000}, {"gpu": 2000}) == {"QUEUECTL_GPU": "2000"}
