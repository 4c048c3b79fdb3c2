"""A module run over time steps, as a list of PyTorch's own operations (aten), each with the module that it serves.

The run is that of a copy: nothing of the user's module changes, whatever its forward does to itself.
"""

from __future__ import annotations

import copy
import inspect
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ..source import Place, SourceError
from .drops import marked
from .installed import several, torch, torch_part
from .neurons import ALONE, begin_anew, framework_of, registry

Call: TypeAlias = Literal["step", "all"]
"""What one call of a module does: one time step, or all of them."""


@dataclass(frozen=True)
class Recording:
    """The operations of a run: an fx graph whose placeholders are *entries* of the state and then the input.

    *scopes* gives, by the name of a node, the path of the module that it serves.  *constants* holds what else it reads.
    """

    graph: Any
    entries: tuple[str, ...]
    scopes: Mapping[str, str]
    constants: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        made = next(node for node in self.graph.nodes if node.op == "output").args[0]
        made = made[0] if several(made) else made
        return tuple(int(extent) for extent in made.meta["val"].shape)


@dataclass(frozen=True)
class Unrolled:
    """A *module* that has not run yet, called step by step, or once; time runs along the first axis, or nowhere.

    *samples_first* says that a call which does all steps has time along the second axis.
    """

    module: Any
    call: Call
    timed: bool
    steps: int
    samples_first: bool = False
    place: Place = field(default=Place("module"))

    def __call__(self, x: Any, state: Mapping[str, Any] | None = None) -> Any:
        """``[T, n, ...]``, or ``[n, ...]`` where a call for all steps gives their mean or sum."""
        framework = torch()
        if self.call == "all":
            if not self.samples_first:
                return _first(self._called(state, x))
            made = _first(self._called(state, x.transpose(0, 1)))
            return made.transpose(0, 1) if tuple(made.shape[:2]) == (x.shape[1], x.shape[0]) else made
        rows: list[Any] = []
        carried: tuple[Any, ...] = ()
        for step in range(self.steps):
            made = self._called(state, x[step] if self.timed else x, *carried)
            rows.append(_first(made))
            carried = self._carried(made)
        return framework.stack(rows)

    def _called(self, state: Mapping[str, Any] | None, *args: Any) -> Any:
        if state is None:
            return self.module(*args)
        return torch_part("torch.func").functional_call(self.module, dict(state), args)

    def _carried(self, made: Any) -> tuple[Any, ...]:
        """What a call gives beside its result, where the next call takes it."""
        others: tuple[Any, ...] = tuple(made[1:]) if several(made) else ()
        places = _places_for_state(self.module)
        if not others or not places:
            return ()
        if len(others) > places:
            told = f"a call gives {len(others)} values beside its result, and forward takes {places} beside its input"
            raise SourceError.at(self.place, told, hints=("a forward that takes back the states that it gives",))
        return others


def _places_for_state(module: Any) -> int:
    """How many values the forward of *module* takes beside its input."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    return sum(parameter.kind in kinds for parameter in parameters) - 1


def _first(made: Any) -> Any:
    return made[0] if several(made) else made


def copied(module: Any) -> Any:
    """A copy of *module*; hidden states that hang on an old graph are copied without it."""
    memo: dict[int, Any] = {}
    for inner in module.modules():
        for held in _tensors(vars(inner)):
            if held.grad_fn is not None:
                memo[id(held)] = held.detach().clone()
    return copy.deepcopy(module, memo)


def prepared(module: Any) -> Any:
    """A copy that is run: in the mode of inference, in float32 on the host, its neurons without a past."""
    made = copied(module).eval().to("cpu", torch().float32)
    begin_anew(made)
    return made


def _constants_read(made: Any) -> set[int]:
    """Where the tensors lie that a recorded run reads besides its inputs."""
    nodes = [node for node in made.graph.nodes if node.op == "get_attr" and node.users]
    return {getattr(made, node.target).data_ptr() for node in nodes}


def _held(module: Any) -> dict[str, Any]:
    """The tensors that inner modules hold beside their parameters, by their paths."""
    found: dict[str, Any] = {}
    for path, inner in module.named_modules():
        every: dict[str, Any] = {**vars(inner), **dict(inner.named_buffers(recurse=False))}
        for key, value in ((key, value) for key, value in every.items() if torch().is_tensor(value)):
            found[f"{path}.{key}" if path else key] = value
    return found


def _tensors(thing: Any, depth: int = 3) -> Generator[Any]:
    """The tensors in nested containers."""
    if isinstance(thing, torch().Tensor):
        yield thing
        return
    inner: Iterable[Any] = thing if several(thing) else thing.values() if hasattr(thing, "values") else ()
    for value in inner if depth else ():
        yield from _tensors(value, depth - 1)


def recorded(unrolled: Unrolled, state: Mapping[str, Any], x: Any) -> Recording:
    """The operations of one run with the entries *state* handed in from outside.

    SourceError where the module has a past: a hidden state of its own that an earlier run has left.
    """
    framework = torch()
    unrolled = replace(unrolled, module=copied(unrolled.module))
    past = _held(unrolled.module)
    proxies = torch_part("torch.fx.experimental.proxy_tensor")
    events: list[tuple[int, str]] = [(0, "")]

    def run(*values: Any) -> Any:
        return unrolled(values[-1], dict(zip(state, values[:-1], strict=True)))

    def now() -> int:
        mode = proxies.get_proxy_mode()
        return 0 if mode is None else len(mode.tracer.graph.nodes)

    with (
        framework.no_grad(),
        _filled_by_numbers(),
        marked(unrolled.module),
        _scoped(unrolled.module, lambda path: events.append((now(), path))),
        _alone(unrolled.module),
    ):
        made = proxies.make_fx(run)(*state.values(), x)
    held, read = _held(unrolled.module), _constants_read(made)
    for name, before in past.items():
        if held.get(name, before) is not before and before.data_ptr() in read and bool(before.detach().any()):
            told = f"{name} holds what an earlier run has left, and is carried on from step to step"
            raise SourceError.at(unrolled.place, told, hints=("a module whose states were reset",))
    scopes = _by_node(made.graph, events)
    if any(_changes_something(node) for node in made.graph.nodes):
        made, scopes = _without_changes(made, scopes, [*state.values(), x])
    return Recording(made.graph, tuple(state), scopes, made)


def _by_node(graph: Any, events: Sequence[tuple[int, str]]) -> dict[str, str]:
    """The scope of each node: what was said last before it was made."""
    begins = [number for number, _ in events]
    return {node.name: events[bisect_right(begins, number) - 1][1] for number, node in enumerate(graph.nodes)}


def _changes_something(node: Any) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _without_changes(made: Any, scopes: Mapping[str, str], values: list[Any]) -> tuple[Any, dict[str, str]]:
    """The same operations, none of which changes a tensor that others read (``record[t] = spikes``)."""
    framework = torch()
    proxies = torch_part("torch.fx.experimental.proxy_tensor")
    interpreter = torch_part("torch.fx").Interpreter(made)
    events: list[tuple[int, str]] = [(0, "")]
    run_node: Callable[[Any], Any] = interpreter.run_node

    def run_for_somebody(node: Any) -> Any:
        mode = proxies.get_proxy_mode()
        if mode is not None:
            events.append((len(mode.tracer.graph.nodes), scopes[node.name]))
        return run_node(node)

    interpreter.run_node = run_for_somebody

    def run(*given: Any) -> Any:
        return interpreter.run(*given)

    pure = torch_part("torch.func").functionalize(run, remove="mutations_and_views")
    with framework.no_grad():
        again = proxies.make_fx(pure)(*values)
    return again, _by_node(again.graph, events)


@contextmanager
def _scoped(module: Any, entered: Callable[[str], None]) -> Generator[None]:
    """Within, *entered* hears the path of each inner module that begins to work, and goes on when it has done.

    What stands inside of a neuron counts as the neuron.
    """
    paths = {id(inner): path for path, inner in module.named_modules()}
    inside: list[str] = [""]
    neurons: list[str] = []

    def before(inner: Any, _: Any) -> None:
        path = paths.get(id(inner), inside[-1])
        if neurons:
            path = neurons[-1]
        if framework_of(inner) is not None:
            path = path or ALONE
            neurons.append(path)
        inside.append(path)
        entered(path)

    def after(inner: Any, _: Any, __: Any) -> None:
        if framework_of(inner) is not None and neurons:
            neurons.pop()
        if len(inside) > 1:
            inside.pop()
        entered(inside[-1])

    hooks = torch_part("torch.nn.modules.module")
    handles = [hooks.register_module_forward_pre_hook(before), hooks.register_module_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _filled_by_numbers() -> Generator[None]:
    """Within, ``torch.full`` takes a tensor for its number, as Norse has it, though what is recorded has no numbers."""
    framework = torch()
    proxies = torch_part("torch.fx.experimental.proxy_tensor")
    fills = (framework.full, framework.full_like)

    def called(_: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if function in fills:
            shape, value = args[0] if args else given.pop("size"), args[1] if len(args) > 1 else given.pop("fill_value")
            if isinstance(value, framework.Tensor):
                with proxies.disable_proxy_modes_tracing():
                    value = value.item()
            args = (shape, value, *args[2:])
        return function(*args, **given)

    base = torch_part("torch.overrides").TorchFunctionMode
    with type("FilledByNumbers", (base,), {"__torch_function__": called})():
        yield


@contextmanager
def _alone(module: Any) -> Generator[None]:
    """Within, snnTorch's ``utils.reset`` reaches the neurons of *module*, and not those of the user."""
    known = registry()
    if known is None:
        yield
        return
    before = list(known)
    known[:] = [inner for inner in module.modules() if framework_of(inner) == "snnTorch"]
    try:
        yield
    finally:
        known[:] = before
