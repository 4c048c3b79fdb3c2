"""What streams need of the chip that they are part of: its memories, cores, queues, and who listens.

The runtime builds the `Chip` and the `Observer`; counting, cycle replay, tracing and race checking are their business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .element import ElementProgram
from .registers import Window

if TYPE_CHECKING:
    from .skipping import Taken
    from .state import Stream
    from .target import Engine


class Observer(Protocol):
    """Told of everything that happens, where it happens.  The runtime listens; the ISA decides nothing by it."""

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        """*useful* bytes moved from or to DRAM near byte *address* (inside one symbol), in *bursts* granules."""
        ...

    def coded(self, stream: Stream, write: bool, stored: int, plain: int) -> None:
        """A decoder took *stored* bytes of blocks from DRAM for *plain* bytes of a tile (*write*: an encoder made)."""
        ...

    @property
    def scratchpad(self) -> Callable[[Stream, bool, int, int], None] | None:
        """Called with (stream, whether written, space, bytes) for bytes that passed a scratchpad port at a load or
        store, padding that a load synthesises included.  None where nobody listens: the stream's `Tally` has them."""
        ...

    def network(self, stream: Stream, source: int, targets: tuple[int, ...], useful: int) -> None:
        """A tile of *useful* bytes was sent from core *source* to cores *targets*, over every link once."""
        ...

    @property
    def work(self) -> Callable[[Stream, str, int], None] | None:
        """Called with (stream, kind, amount) of operations: ``gated`` additions and ``multiply`` accumulates that were
        done, ``skipped`` ones that zeros saved, ``element`` operations of the vector unit.  None as above."""
        ...

    def turns(self, stream: Stream, taken: Taken) -> None:
        """An engine that skips took those turns of a tile (see `skipping`); told before its ``work``."""
        ...

    def touch(self, stream: Stream, write: bool, window: Window) -> None:
        """An instruction reads or writes *window*.  Only called when ``chip.watched`` is true (race checking)."""
        ...

    @property
    def sync(self) -> Callable[[Stream, str, int, int], None] | None:
        """Called with (stream, kind, core, semaphore, channel or cores) when a ``post``, ``wait``, ``meet``, ``send``
        or ``receive`` took effect.  None where nobody listens."""
        ...


Tile: TypeAlias = Any
"""What goes from core to core: packed bytes, or what `counting` has in their place.  A chip only hands it on."""


class Blocked(NamedTuple):
    """Why a stream stands still: *kind* is wait, meet or receive; *core* and *number* say for whom or what: a semaphore
    of the core, a channel from it, or so many cores from that one on."""

    kind: str
    core: int
    number: int


Key: TypeAlias = Hashable
"""What a stream waits for."""


def waiting_for(core: int, semaphore: int) -> Key:
    """The key of a post of a *semaphore* of *core*."""
    return core << 16 | semaphore


class Chip(Protocol):
    """What streams need of the chip that they are part of.  The runtime builds it."""

    @property
    def dram(self) -> NDArray[np.uint8]:
        """Main memory; ``memories[0]`` of every core is this array."""
        ...

    @property
    def cores(self) -> Sequence[Core]:
        """The contexts of all cores by number."""
        ...

    @property
    def arguments(self) -> NDArray[np.uint32]:
        """The argument file of the entry: u32 values and the bits of f32 ones."""
        ...

    @property
    def elements(self) -> Sequence[ElementProgram]:
        """The element programs by number."""
        ...

    @property
    def granule(self) -> int:
        """Bytes of a DRAM burst."""
        ...

    @property
    def accumulators(self) -> str:
        """The target's kind of accumulators: exact, f32 or f16."""
        ...

    @property
    def engines(self) -> Mapping[str, Engine]:
        """The arrays of every core, by unit."""
        ...

    @property
    def observer(self) -> Observer:
        """Who is told of everything."""
        ...

    @property
    def watched(self) -> bool:
        """Whether the observer wants every ``touch``."""
        ...

    @property
    def asleep(self) -> Container[Key]:
        """What streams wait for that nobody steps meanwhile."""
        ...

    def wake(self, key: Key) -> None:
        """What streams waited for is there."""
        ...

    def meet(self, stream: Stream, first: int, cores: int) -> bool:
        """Arrive at the barrier of this stream's unit over so many *cores* from *first* on; true once all have
        arrived."""
        ...

    def room(self, size: int) -> NDArray[np.uint8]:
        """So many bytes for a tile to be sent, which are its own until all have taken it."""
        ...

    def deliver(self, source: int, target: int, channel: int, tile: Tile) -> None:
        """Put a tile into the queue (source, target, channel)."""
        ...

    def take(self, source: int, target: int, channel: int) -> Tile | None:
        """The oldest tile in the queue (source, target, channel), or None where it is empty."""
        ...


def named(number: int, cores: int) -> str:
    """What people call context *number* of a program for so many *cores*: ``2``, or ``2 context 1``."""
    context, core = divmod(number, cores)
    return f"{core} context {context}" if context else str(core)


class Core:
    """One core, or one of its contexts: its number, scratchpads (``memories[0]`` is the chip's DRAM), which contexts of
    a core share, and semaphores, all at 0 first.

    Of a program for so many *cores*, *place* is the number of the core, and *name* what people call it.
    """

    def __init__(self, number: int, memories: Sequence[NDArray[np.uint8]], cores: int) -> None:
        self.number = number
        self.cores = cores
        self.place = number % cores
        self.name = named(number, cores)
        self.memories = list(memories)
        self.semaphores: defaultdict[int, int] = defaultdict(int)


class ProgramFault(Exception):
    """A program did what no program may; *stream* and *pc* (the instruction's number) say where."""

    def __init__(self, stream: Stream, pc: int, text: str) -> None:
        super().__init__(f"instruction {pc} of core {stream.core.name} {stream.unit}: {text}")
        self.stream = stream
        self.pc = pc
        self.text = text
