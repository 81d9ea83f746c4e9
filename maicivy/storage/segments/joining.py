"""Several small blocks as one: a block takes a hundred steps, however few visits it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from maicivy.storage.segments.block import OF_PROPERTIES, Block, Column, Property
from maicivy.storage.segments.numbering import distinct

_SPAN: Final = 1 << 20
"""From the least to the greatest id that a table is made for."""


def joined(blocks: Sequence[Block]) -> list[Block]:
    """The blocks, in any order; those that neither are whole nor pass anything over as one, whose `begin` need not be
    ascending. All have the same columns."""
    parts = [block for block in blocks if not block.is_whole and not block.passed_over]
    if len(parts) < 2:
        return list(blocks)
    base = min(block.base for block in parts)
    ids = {name: distinct(np.concatenate([block.ids[name] for block in parts])) for name in parts[0].ids}
    others = parts[0].columns.keys() - ids.keys()
    columns = {name: np.concatenate([block.columns[name] for block in parts]) for name in others}
    columns["begin"] = np.concatenate([block.columns["begin"].astype(np.int64) + block.base - base for block in parts])
    for name, every in ids.items():
        columns[name] = _codes(every, [(block.ids[name], block.columns[name]) for block in parts])
    properties = {}
    if OF_PROPERTIES in columns:
        columns[OF_PROPERTIES] = _behind_one_another(
            [block.columns[OF_PROPERTIES] for block in parts], [len(block.columns["count"]) for block in parts]
        )
        properties = {name: _property(name, parts) for name in {name for block in parts for name in block.properties}}
    one = msgspec.structs.replace(
        parts[0],
        base=base,
        visits=sum(block.visits for block in parts),
        columns=columns,
        ids=ids,
        properties=properties,
    )
    return [one, *(block for block in blocks if block.is_whole or block.passed_over)]


def _codes(every: Column, parts: Sequence[tuple[Column, Column]]) -> Column:
    """Places in parts' own lists of ids as places in that of all ids."""
    if not len(every) or every[-1] - every[0] >= _SPAN:
        return np.concatenate([np.searchsorted(every, ids)[codes] for ids, codes in parts])
    least = every[0]  # a table takes a quarter of the time
    places = np.zeros(int(every[-1] - least) + 1, np.int32)
    places[every - least] = np.arange(len(every))
    return np.concatenate([places[ids - least].take(codes.astype(np.int64)) for ids, codes in parts])


def _property(name: str, blocks: Sequence[Block]) -> Property:
    nothing = Property(np.zeros(0, np.int64), np.zeros(0, np.int64), ())
    each = [block.properties.get(name, nothing) for block in blocks]
    return Property(
        _behind_one_another([one.events for one in each], [len(block.columns[OF_PROPERTIES]) for block in blocks]),
        _behind_one_another([one.code for one in each], [len(one.values) for one in each]),
        tuple(value for one in each for value in one.values),
    )


def _behind_one_another(places: Sequence[Column], lengths: Sequence[int]) -> Column:
    """Places in lists of such lengths as places in all of those, one behind the other."""
    begins = np.cumsum([0, *lengths])
    return np.concatenate([each.astype(np.int64) + begin for each, begin in zip(places, begins[:-1], strict=True)])
