"""What a process remembers of dictionaries is true for all questions of an edition, and bounded."""

from __future__ import annotations

import random
from threading import Thread

import numpy as np

from maicivy.storage.segments.dictionaries import EMPTY, UNKNOWN, Dictionaries, Edition, Memory

FAR = [1, 2, 255, 256, 257, 70_000, 2**31 - 1]


def tell(memory: Memory, texts: dict[int, str], column: str = "city") -> None:
    table = memory.table("places")
    table.column(column).tell(table.placed(np.array([*texts], np.uint32)), [*texts.values()])


def told(memory: Memory, ids: list[int], column: str = "city") -> list[str | None]:
    table = memory.table("places")
    texts = table.column(column)
    return [None if n == UNKNOWN else texts.all[n] for n in texts.of(table.places(np.array(ids, np.uint64)))]


def test_ids_have_the_texts_that_were_told_last_however_far_apart_they_are() -> None:
    memory = Memory()
    assert told(memory, FAR) == [None] * len(FAR)
    tell(memory, {number: f"city {number % 2}" for number in FAR})
    tell(memory, {3: "", 2: "city 0"})
    assert told(memory, [*FAR, 3]) == [*(f"city {number % 2}" for number in FAR), ""]
    assert told(memory, [0, 4, 300, 69_999, 70_001, 2**31 - 2]) == [None] * 6
    assert memory.table("places").column("city").all == ["", "city 1", "city 0"]
    assert memory.table("places").column("city").all[EMPTY] == ""


def test_places_belong_to_ids_and_columns_know_nothing_of_each_other() -> None:
    memory = Memory()
    table = memory.table("places")
    assert table.ids(table.placed(np.array(FAR, np.uint32))).tolist() == FAR
    tell(memory, {2: "Paris"})
    tell(memory, {2: "FR", 3: "DE"}, "country")
    assert told(memory, [2, 3]) == ["Paris", None]
    assert told(memory, [2, 3], "country") == ["FR", "DE"]


def test_a_question_with_an_older_snapshot_neither_uses_nor_spoils_what_is_remembered() -> None:
    dictionaries = Dictionaries()
    tell(dictionaries.of(Edition("a", 1)), {1: "as it was"})
    latest = dictionaries.of(Edition("a", 2))
    assert told(latest, [1]) == [None]
    tell(latest, {1: "as it is"})
    older = dictionaries.of(Edition("a", 1))
    assert told(older, [1]) == [None]
    tell(older, {1: "as it was"})
    assert told(dictionaries.of(Edition("a", 2)), [1]) == ["as it is"]


def test_of_another_database_nothing_is_remembered_whatever_its_version() -> None:
    dictionaries = Dictionaries()
    tell(dictionaries.of(Edition("a", 2)), {1: "one"})
    for version in (1, 2, 3):
        assert told(dictionaries.of(Edition(f"restored {version}", version)), [1]) == [None]


def test_of_too_much_nothing_is_remembered_but_by_those_who_are_at_it() -> None:
    edition = Edition("a", 1)
    for most_ids, most_bytes in ((1024, 1 << 20), (1 << 20, 5_000)):
        dictionaries = Dictionaries(most_ids, most_bytes)
        first = dictionaries.of(edition)
        tell(first, {1: "one"})
        assert dictionaries.of(edition) is first
        tell(first, {number: f"text {number}" * 20 for number in range(2, 2000)})
        second = dictionaries.of(edition)
        assert told(second, [1, 2]) == [None, None]
        assert told(first, [1]) == ["one"]
        assert dictionaries.of(edition) is second


def test_threads_tell_and_are_told_the_same() -> None:
    memory = Memory()
    table = memory.table("places")
    wrong: list[object] = []

    def work(seed: int) -> None:
        shuffled = random.Random(seed)
        for _ in range(100):
            ids = shuffled.sample(range(1, 40_000), 50)
            places = table.placed(np.array(ids))
            texts = table.column("city")
            texts.tell(places, [f"city {number % 999}" for number in ids])
            wrong.extend(table.ids(places) != ids)
            found = [texts.all[number] for number in texts.of(table.places(np.array(ids)))]
            wrong.extend(text for number, text in zip(ids, found, strict=True) if text != f"city {number % 999}")

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(wrong)
    assert len(set(table.column("city").all)) == len(table.column("city").all) <= 1000
