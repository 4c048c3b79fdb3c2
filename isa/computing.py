"""The verbs that move tiles and compute with them: how a stream does what `state` says it can.

Each answers with an action.  What stays the same while views and extents do is found out once and kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from . import coded, moving
from .access import from_rows, to_rows
from .affine import Function
from .array import tile_of
from .instruction import Action
from .kernels.contract import Contraction, accumulated
from .port import Port
from .registers import ViewRegister, Window
from .routed import Bytes, Routed
from .skipping import taken_of
from .state import NEVER, Shape
from .vector import VectorStream

_MOST = 256
"""Contractions of one instruction that are kept: those of some rings of buffers."""


class ComputingStream(VectorStream):
    """A stream whose tiles have contents; the arithmetic is in `kernels`."""

    # Moving tiles.

    def load(self, target: int, source: int) -> Action:
        return self._transfer(moving.Load, source, target, write=False)

    def store(self, target: int, source: int) -> Action:
        return self._transfer(moving.Store, target, source, write=True)

    def receive(self, target: int, core: int, channel: int, add: bool) -> Action:
        port, chip, observer = self._port(target), self.chip, self.chip.observer
        own, routed = self.core.number, self._routed(False)

        def receive() -> None:
            tile = chip.take(core, own, channel)
            if tile is None:
                return self.block("receive", core, channel)
            view = port.view()
            extents = view.extents()
            whole = None if add or routed is None else routed.moved(view, extents, _only(tile))
            if whole is None:
                values = from_rows(tile, view.format, extents)
                if add:
                    values = accumulated(port.read(extents), values, view.format)
                port.write(extents, values)
            if (heard := observer.sync) is not None:
                heard(self, "receive", core, channel)

        return receive

    def _send(self, source: int, cores: tuple[int, ...], channel: int) -> Action:
        port, chip, observer = self._port(source), self.chip, self.chip.observer
        own, routed = self.core.number, self._routed(True)

        def send() -> None:
            view = port.view()
            extents = view.extents()
            tile = None if routed is None else routed.moved(view, extents, chip.room)
            if tile is None:
                tile = to_rows(port.read(extents), view.format, extents)
            for core in cores:
                chip.deliver(own, core, channel, tile)
            observer.network(self, own, cores, tile.size)
            if (heard := observer.sync) is not None:
                for core in cores:
                    heard(self, "send", core, channel)

        return send

    def _routed(self, stores: bool) -> Routed | None:
        """How tiles come from the network, or go there; None where somebody watches what is touched."""
        return None if self.chip.watched else Routed(self.core.memories, stores)

    # Computing.

    def contract(self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int) -> Action:
        if skip or self.chip.watched:
            return self._contract_looking(acc, left, right, fresh, inner, ones, skip)
        numbers = (acc, right) if ones else (acc, right, left)
        registers, ports = self.views, [self._port(number) for number in numbers]
        known: dict[tuple[ViewRegister, ...], Action] = {}
        views: list[ViewRegister | None] = []
        action: Action = self._ran_out

        def contracted() -> None:
            nonlocal views, action
            now = [registers[number] for number in numbers]
            if now != views:
                seen = tuple([port.view() for port in ports])
                if seen not in known:
                    known[seen] = self._contracting(ports, seen, fresh)
                views, action = now, known[seen]
            action()

        return contracted

    def _contracting(self, ports: Sequence[Port], views: Sequence[ViewRegister], fresh: int) -> Action:
        """acc += left * right where *views* show them, (acc, right, left) or (acc, right) for ones.

        Of tiles that come back only the addresses are asked.
        """
        acc, function, pc = views[0], Function(), self.current
        out, r_port, *l_ports = ports
        calls: dict[tuple[Any, ...], tuple[Callable[[bool], int], int]] = {}

        def made(key: tuple[Any, ...]) -> tuple[Callable[[bool], int], int]:
            """What adds the products of other tiles, and how many these are."""
            extents = acc.extents()
            left, right = [port.operand(extents) for port in l_ports], r_port.operand(extents)
            contraction = Contraction(
                out.sums(extents, False), left[0] if left else None, right, extents, acc.kept, acc.format
            )
            if not contraction.in_place:
                self.copied.add(pc)
            if len(calls) >= _MOST:
                calls.clear()
            call = calls[key] = contraction.add, prod(extents)
            return call

        places = [acc.key(function), *(view.address(function) for view in views)]
        opened = [f"{function.name(loop)}.counter" for k, loop in enumerate(self.loops) if fresh >> k & 1]
        begins = "False" if fresh & NEVER else f"not ({' or '.join(opened)})" if opened else "True"
        worked = function.name(self._multiplier(views[2].format if l_ports else None))
        function.add(f"key = {function.tuple_of(places)}")
        function.add(f"add, dense = {function.name(calls)}.get(key) or {function.name(made)}(key)")
        function.add(f"{worked}(dense, add({begins}))")
        return function.made()

    def _contract_looking(
        self, acc: int, left: int, right: int, fresh: int, inner: int, ones: bool, skip: int
    ) -> Action:
        """The same where empty words are looked for, or somebody watches what is touched."""
        self.copied.add(self.current)
        out, r_port, l_port = self._port(acc), self._port(right), None if ones else self._port(left)
        anew, engine, views = self.anew(fresh), self.chip.engines[self.unit], self.views
        view: ViewRegister | None = None
        left_view: ViewRegister | None = None
        extents: Shape = ()
        worked, dense = self._multiplier(None), 0
        calls: dict[tuple[int, int, int, Shape], Contraction] = {}  # of tiles, which they keep: so numbers stay theirs

        def contracted() -> None:
            nonlocal view, left_view, extents, worked, dense
            if views[acc] is not view or views[left] is not left_view or view is None:
                view, left_view, extents = out.view(), views[left], ()
                worked = self._multiplier(None if l_port is None else l_port.view().format)
            now = view.extents()
            if now is not extents:
                extents, dense = now, prod(now)
            first = anew()
            l_operand = None if l_port is None else l_port.operand(extents)
            r_operand = r_port.operand(extents)
            taken = None
            if skip:
                tile = tile_of(view, l_port and l_port.view(), r_port.view(), extents, inner, first)
                taken = taken_of(tile, engine, view.format, l_operand, r_operand, skip)
                self.chip.observer.turns(self, taken)
                if not taken.turns:  # so nothing begins either
                    return worked(dense, 0)
            sums = out.sums(extents, first)
            known = id(sums), id(l_operand), id(r_operand), extents
            contraction = calls.get(known)
            if contraction is None:
                if len(calls) >= _MOST:
                    calls.clear()
                contraction = Contraction(sums, l_operand, r_operand, extents, view.kept, view.format)
                calls[known] = contraction
            products = contraction.add(first)
            worked(dense, products if taken is None else taken.done)

        return contracted

    # Inside.

    def _recode(self, coding: coded.Coding, box: coded.Box, bounds: Shape, tile: Window, write: bool) -> coded.Coded:
        memories, granule = self.core.memories, self.chip.granule
        if write:
            return coded.store(memories, coding, box, tile.space, tile, granule)
        return coded.load(memories, coding, box, bounds, tile.space, tile, granule)


def _only(tile: Bytes) -> Callable[[int], Bytes | None]:
    """Room for a tile of the size of *tile*: itself."""
    return lambda size: tile if tile.size == size else None
