"""Ports: what an instruction sees of a view register, turn by turn.

Each operand of an instruction has one for as long as its stream lives.  It keeps the tiles that it has seen, by where
they begin, so that a turn which comes back to one of them finds it made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .access import Layout, identity, layout_of
from .kernels.nest import AnyOperand
from .registers import DRAM, IDENTITY, ViewRegister, Window
from .tile import Constant, Tile, tile_at

if TYPE_CHECKING:
    from .state import Stream

Array = NDArray[Any]
Shape = tuple[int, ...]

_MOST = 64
"""Tiles that are kept: those of any ring of buffers, and not those of a whole tensor."""


class Port:
    """View register *number* of *stream* as one instruction reads or writes it.

    Extents are those of the instruction; along an axis that the view does not index arrays have size 1.
    """

    __slots__ = ("_extents", "_known", "_layout", "_number", "_still", "_stream", "_tiles", "_view", "_views")

    def __init__(self, stream: Stream, number: int) -> None:
        self._stream = stream
        self._number = number
        self._views = stream.views
        self._view: ViewRegister | None = None
        self._extents: Shape = ()
        self._layout: Layout | None = None
        self._tiles: dict[int, Tile] = {}
        self._still: Tile | None = None
        self._known: dict[Shape, tuple[Layout, dict[int, Tile]]] = {}

    def view(self) -> ViewRegister:
        """What the register holds now; ProgramFault where nothing has been defined."""
        return self._views[self._number] or self._stream.view(self._number)

    def read(self, extents: Shape) -> Array:
        """Storage elements, or addresses of the identity."""
        self._stream.copied.add(self._stream.current)
        return self._at(extents, "reads").read()

    def operand(self, extents: Shape) -> AnyOperand:
        """The same with its format, for engines."""
        return self._at(extents, "reads").operand()

    def write(self, extents: Shape, values: Array) -> None:
        """Replace the storage elements; *values* may have size 1 where they are all the same."""
        self._stream.copied.add(self._stream.current)
        self._at(extents, "writes").write(values)

    def sums(self, extents: Shape, fresh: bool) -> Array:
        """The accumulators themselves, to add to, or to begin where they are *fresh*."""
        return self._at(extents, "writes").sums()

    def _at(self, extents: Shape, verb: str) -> Tile:
        """The tile where the register shows it now."""
        view = self._views[self._number]
        if view is None or view is not self._view or extents is not self._extents:
            view = self._settle(extents)
        elif self._still is not None:
            return self._still
        start = view.start()
        return self._tiles.get(start) or self._made(view, start, verb)

    def _settle(self, extents: Shape) -> ViewRegister:
        """Another view, or other extents, than the last time."""
        view = self.view()
        if view is not self._view:
            self._known = {}
        known = self._known.get(extents)
        if known is None:
            if view.space == DRAM or (view.space == IDENTITY and view.rank != len(extents)):
                raise self._stream.fault(f"space {view.space} is no scratchpad")
            if view.rank != len(extents):
                raise self._stream.fault(f"a view of {view.rank} axes among others of {len(extents)}")
            known = self._known[extents] = layout_of(view.format, extents, view.strides), {}
        self._view, self._extents = view, extents
        self._layout, self._tiles = known
        self._still = self._tiles.get(view.base) if view.still else None
        return view

    def _made(self, view: ViewRegister, start: int, verb: str) -> Tile:
        """A tile that has not been seen."""
        assert self._layout is not None
        if view.space == IDENTITY:
            if verb == "writes":
                raise self._stream.fault(f"space {view.space} is no scratchpad")
            return Constant(identity(start, self._extents, view.strides), view.format)
        tile = tile_at(self._stream.core.memories, view.space, view.format, start, self._layout, verb)
        if len(self._tiles) < _MOST:
            self._tiles[start] = tile
        if view.still:
            self._still = tile
        return tile


class WatchedPort(Port):
    """One that tells the observer of every access."""

    __slots__ = ()

    def sums(self, extents: Shape, fresh: bool) -> Array:
        if not fresh:
            self._at(extents, "reads")
        return super().sums(extents, fresh)

    def _at(self, extents: Shape, verb: str) -> Tile:
        tile = super()._at(extents, verb)
        view = self.view()
        if view.space != IDENTITY:
            if verb == "writes":  # a sum of nothing is written, too
                extents = tuple(n if kept else 1 for n, kept in zip(extents, view.kept, strict=True))
            window = Window(view.space, view.format, view.start(), extents, view.strides)
            self._stream.chip.observer.touch(self._stream, verb == "writes", window)
        return tile
