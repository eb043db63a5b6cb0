"""What one process hands to another that records: messages as bytes, and back in the same order.

They are pickled. Of a snapshot that follows another only those fields are which are other objects than before: a look
shares names, nameplates and the facility with the one before it. Of histories that go on in the same arrays only the
rows are which are new.
"""

import copyreg
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.audit.errors import AuditError
from twin.audit.objects import rows_on
from twin.policy.snapshot import Block, Columns, FacilitySnapshot, Histories, History

ROOM = 4  # times the length of the histories that come first is kept room for, before they are moved


@dataclass(frozen=True)
class _Later:
    """Histories that go on where those before were: so many rows of these are gone, and these are new."""

    gone: int
    rows: History


class Packer:
    """Messages as bytes."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}  # fields of the snapshot before
        self._table: dict[type, Callable[[Any], Any]] = {
            **copyreg.dispatch_table,
            FacilitySnapshot: self._of_snapshot,
            Columns: lambda columns: (Columns, (columns.blocks,)),
            MappingProxyType: lambda mapping: (dict, (dict(mapping),)),  # recorded as any mapping is
        }

    def __call__(self, message: tuple[Any, ...]) -> memoryview:
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = self._table
        try:
            pickler.dump(message)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise AuditError(
                f"{error}: it cannot be handed to the process that records; use classes and functions of a module"
            ) from error
        return buffer.getbuffer()

    def _of_snapshot(self, snapshot: FacilitySnapshot) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        before, held = self._held, vars(snapshot)
        changed = {name: value for name, value in held.items() if name not in before or value is not before[name]}
        if type(changed.get("histories")) is Histories:
            old = before.get("histories")
            changed["histories"] = _since(old if type(old) is Histories else Histories(()), held["histories"])
        self._held = held
        return _next_snapshot, (changed,)


def _since(old: Histories, new: Histories) -> tuple[Block | _Later, ...]:
    """Each block of the new histories, or how it goes on from that of the old ones."""
    if len(old.blocks) != len(new.blocks):
        return new.blocks
    return tuple(_block_since(one, other) for one, other in zip(old.blocks, new.blocks, strict=True))


def _block_since(old: Block, new: Block) -> Block | _Later:
    before, now = old.past, new.past
    if old.parts is not new.parts:
        return new
    gone = {rows_on(getattr(before, name), getattr(now, name)) for name in ("time_seconds", "values", "quality")}
    known = len(before.time_seconds) - max(gone)
    if len(gone) > 1 or min(gone) < 0 or not 0 < known <= len(now.time_seconds):
        return new
    return _Later(gone.pop(), History(now.time_seconds[known:], now.values[known:], now.quality[known:]))


def _next_snapshot(changed: dict[str, Any]) -> FacilitySnapshot:
    """Stands in what is handed over for what an :class:`Unpacker` makes of it."""
    raise AuditError("a snapshot can be read by who has read those before it")


class Unpacker:
    """Messages from bytes, in the order in which they were packed."""

    def __init__(self) -> None:
        self._last: FacilitySnapshot = object.__new__(FacilitySnapshot)
        self._pasts: list[_Past] = []

    def __call__(self, data: bytes) -> tuple[Any, ...]:
        reader = _Reader(io.BytesIO(data))
        reader.snapshot = self._snapshot
        message: tuple[Any, ...] = reader.load()
        return message

    def _snapshot(self, changed: dict[str, Any]) -> FacilitySnapshot:
        if type(changed.get("histories")) is tuple:
            changed["histories"] = self._histories(changed["histories"])
        self._last = self._last.with_fields(**changed)
        return self._last

    def _histories(self, blocks: tuple[Block | _Later, ...]) -> Histories:
        if len(blocks) != len(self._pasts):
            self._pasts = [_Past(block) for block in blocks if isinstance(block, Block)]
        else:
            for place, block in enumerate(blocks):
                if isinstance(block, Block):
                    self._pasts[place] = _Past(block)
                else:
                    self._pasts[place].go_on(block)
        return Histories(tuple([past.block() for past in self._pasts]))


class _Reader(pickle.Unpickler):
    snapshot: Callable[[dict[str, Any]], FacilitySnapshot]

    def find_class(self, module: str, name: str) -> Any:
        if name == _next_snapshot.__name__ and module == __name__:
            return self.snapshot
        return super().find_class(module, name)


class _Past:
    """A block of histories that grows: rows are written once, into arrays with room for more."""

    def __init__(self, block: Block) -> None:
        self._parts = block.parts
        self._arrays: list[NDArray[Any]] = [block.past.time_seconds, block.past.values, block.past.quality]
        self._begin, self._end = 0, len(block.past.time_seconds)

    def go_on(self, later: _Later) -> None:
        self._begin += later.gone
        more: list[NDArray[Any]] = [later.rows.time_seconds, later.rows.values, later.rows.quality]
        if self._end + len(more[0]) > len(self._arrays[0]):
            self._move(ROOM * (self._end - self._begin) + len(more[0]))
        end = self._end + len(more[0])
        for array, new in zip(self._arrays, more, strict=True):
            array[self._end : end] = new
        self._end = end

    def _move(self, rows: int) -> None:
        """Go on in other arrays, of so many rows."""
        kept = self._end - self._begin
        for place, old in enumerate(self._arrays):
            self._arrays[place] = np.empty((rows, *old.shape[1:]), dtype=old.dtype)
            self._arrays[place][:kept] = old[self._begin : self._end]
        self._begin, self._end = 0, kept

    def block(self) -> Block:
        views = [array[self._begin : self._end] for array in self._arrays]
        for view in views:
            view.setflags(write=False)
        return Block(History(views[0], views[1], views[2]), self._parts)
