"""What every neuron shares: a step in two halves, charge and fire, and the way back, which follows from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from ..ir.derivative import product, pull_back
from ..ir.expression import Expression, edge, index, lift, read, rebuilt, state, where
from ..ir.graph import Setting
from ..ir.statement import Access, Elementwise, Index, State, Statement
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault
from .site import WORKING, Instant, Site

Learned = Literal["none", "layer", "channel"]
"""Who has a learned number of its own."""

Values = Mapping[str, Expression]

_BEFORE = ".before"
_STEP = "@"


@dataclass(frozen=True)
class Carried:
    """A state: what it is before the first step, its format, and whether a gradient is carried back with it."""

    initial: float = 0.0
    format: str = WORKING
    differentiable: bool = True

    @property
    def first(self) -> Expression:
        """The initial value as the first step finds it."""
        return self.held(lift(self.initial)) if self.initial else lift(0.0)

    def held(self, value: Expression) -> Expression:
        """*value* as the next step finds it."""
        return value if self.format == "spike" else edge(value, self.format)


@dataclass
class Step:
    """One time step in the making: the operand, parameters and carried states that it reads.

    On the way back *tape* has what is known and need not be computed again.  The halves add *slopes*, derivatives that
    replace those of calculus (see `ir.derivative`), and write *results* and the *next* states.
    """

    x: Expression
    parameters: Values
    states: Values
    tape: Values = field(default_factory=dict[str, Expression])
    tensor: str = ""
    """The name that keys random numbers."""

    slopes: dict[int, tuple[Expression, Expression]] = field(default_factory=dict[int, tuple[Expression, Expression]])
    results: dict[str, Expression] = field(default_factory=dict[str, Expression])
    next: dict[str, Expression] = field(default_factory=dict[str, Expression])


@dataclass(frozen=True)
class WayBack:
    """Gradients of x, of each learned parameter by its name, and of the states before the step."""

    x: Expression
    parameters: Values
    states: Values

    @property
    def reads(self) -> frozenset[str]:
        """Names of everything that is read; random numbers are those of the elements of h."""
        roots = (self.x, *self.parameters.values(), *self.states.values())
        return frozenset([*_named("input", roots), *(["h"] if _named("uniform", roots) else [])])


class Neuron(Op):
    """What integrates its input into ``h[t]`` and carries states from step to step.

    A subclass says one step: `charge` makes values of the input and of the states as the step before left them; those
    that are results are rounded once and may be on tape.  `fire` makes all else of these values: spikes, and the next
    states.  Forward both are computed; backward the derivative of each half is taken, so that the full adjoint with
    the gradients of learned parameters follows (facet ``adjoint``: BPTT; ``adjoint_local`` carries no gradient to the
    step before, as rules without a temporal carry do).

    The tape is what that derivative reads: the bits of comparisons where they are enough, else what was charged.
    """

    operands: ClassVar = ("x",)
    compared: ClassVar[tuple[str, ...]] = ("h",)
    """Results that spikes and masks are made of by comparing: where bits are enough, they stand for these."""

    held: ClassVar = ("threshold", "v_reset", "rest", "initial")
    timed: ClassVar = True
    adjoints: ClassVar = (Adjoint("adjoint", "x", ("error",), "BP", sums=True),)

    def __post_init__(self) -> None:
        """Every setting is good here; parts of a neuron check their own, and then hand on."""

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """See the class."""
        return ("", "adjoint", "adjoint_local")

    @property
    def membrane_on_tape(self) -> bool:
        """Whether what was charged is kept even where bits are enough."""
        return False

    @property
    def every(self) -> int:
        """How many steps the way back computes again at once, from the states before them; 1 for none."""
        return 1

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The states before every so many steps, where steps are computed again from them."""
        return self.results if self.every == 1 else (*self.results, *map(_kept, self.carried()))

    def gathers(self) -> tuple[str, str] | None:
        """Steps that are computed again at once."""
        return None if self.every == 1 else (f"computes {self.every} steps again at once", "tape=auto")

    @abstractmethod
    def carried(self) -> dict[str, Carried]:
        """The states, in order."""

    def learned(self) -> dict[str, tuple[Learned, float]]:
        """Each learned parameter: who has one of its own, and its first value."""
        return {}

    @abstractmethod
    def charge(self, step: Step) -> dict[str, Expression]:
        """``h`` and whatever else is made of the input and of the states before."""

    @abstractmethod
    def fire(self, step: Step, charged: Values) -> None:
        """Results and next states, from what is *charged*; results that are charged need no mention."""

    def error(self) -> Expression:
        """The error of the first result, with respect to what is stored of it."""
        return read("error")

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """f32, one of each learned parameter, or one a channel (a feature of a vector)."""
        (x,) = operands
        found: dict[str, tuple[Type, Setting]] = {}
        for name, (each, first) in self.learned().items():
            if each == "channel" and len(x.axes) > 1 and len(x.axes[0]) > 1:
                raise ShapeFault(f"{self.name} finds no channels in {x}", 0)
            axes = (x.factors[:1],) if each == "channel" else ()
            found[name] = Type("f32", axes), ("constant", ("value", first))
        return found

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Bits are ``spike``, all else f16, with the axes of the input, in every step."""
        (x,) = operands
        made = tuple(Type(self.format_of(suffix), x.axes, True, True) for suffix in self.results)
        kept = [Type(of.format, x.axes, True, True, every=self.every) for of in self.carried().values()]
        return made if self.every == 1 else (*made, *kept)

    @classmethod
    def format_of(cls, suffix: str) -> str:
        """Format of a result."""
        return WORKING

    def gradients(self) -> tuple[Adjoint, ...]:
        """One facet for x and all learned parameters; it reads what the derivative does."""
        if self.every == 1:
            taken = {_role(name) for name in self._way_back(read("x"), True, 0, "h").reads}
        else:
            backs = self._again(lambda step: read(_in("x", step)), True)
            taken = {_role(name) for back in backs for name in back.reads}
        learned = tuple(self.learned())
        roles = tuple(role for role in ("error", "x", *learned, *self.suffixes) if role in taken)
        assert taken == set(roles), f"{self.name} has no result {taken - set(roles)} that its way back could read"
        return (Adjoint("adjoint", "x", roles, "BP", sums=True, also=learned, terms=learned),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Charge, then fire; as many steps in a turn as will be computed again at once."""
        named = list(zip(self.suffixes, at.node.results, strict=True))
        results, kept = named[: len(self.results)], at.node.results[len(self.results) :]
        every = self.every if any(kept) else 1
        x, *parameters = zip(("x", *self.learned()), at.node.operands, strict=True)
        reads: dict[str, str | Instant] = dict(parameters)
        writes: list[tuple[str | Instant, Expression]] = []
        states: Values = {name: state(name) for name in self.carried()}
        writes += [(result, value) for result, value in zip(kept, states.values(), strict=False)]
        for turn in range(every):
            name = _in("x", turn) if every > 1 and at.type(x[1]).timed else "x"
            reads[name] = Instant(x[1], turn)
            learned = {name: read(name) for name, _ in parameters}
            made, states = self._taken(at.value(name, 0), learned, self._held(states) if turn else states)
            writes += [(Instant(result, turn), made[suffix]) for suffix, result in results if result]
        after = tuple(State(name, of.format, of.initial, states[name]) for name, of in self.carried().items())
        return at.elementwise(reads, writes, after, every=every)

    def _taken(self, x: Expression, parameters: Values, states: Values) -> tuple[Values, dict[str, Expression]]:
        """(everything that a step makes, the states after it, not yet rounded as they are carried)."""
        step = Step(x, parameters, states)
        charged = self.charge(step)
        self.fire(step, charged)
        return {**charged, **step.results}, step.next

    def _held(self, states: Values) -> Values:
        """What the next step finds of *states*."""
        return {name: of.held(states[name]) for name, of in self.carried().items()}

    def adjoint(self, at: Site) -> tuple[Statement, ...]:
        """All gradients; those of the states go to the step before."""
        return self._adjoint(at, carries=True)

    def adjoint_local(self, at: Site) -> tuple[Statement, ...]:
        """The same without gradients from the step after."""
        return self._adjoint(at, carries=False)

    def _adjoint(self, at: Site, carries: bool) -> tuple[Statement, ...]:
        if self.every > 1:
            return self._adjoint_again(at, carries)
        (adjoint,) = self.gradients()
        operands = dict(zip(adjoint.reads, at.node.operands, strict=True))
        x = at.value("x", adjoint.reads.index("x")) if "x" in operands else read("x")
        turn = at.steps - 1 if at.sweep == "down" else 0
        back = self._way_back(x, carries, turn, operands.get("h", "h"))
        states = {f"g{name}": State(f"g{name}", WORKING, 0.0, next) for name, next in back.states.items()}
        writes: list[tuple[str, Expression, bool]] = []
        for name, result in zip(adjoint.served, at.node.results, strict=True):
            gradient = back.x if name == "x" else back.parameters[name]
            last = bool(result) and not at.type(result).timed
            if last:
                total = "sum" if name == "x" else f"sum.{name}"
                gradient = state(total) + gradient
                states[total] = State(total, "f32", 0.0, gradient)
            writes.append((result, gradient, last))
        needed = _needed([gradient for result, gradient, _ in writes if result], states)
        roots = [*(gradient for result, gradient, _ in writes if result), *(part.next for part in needed)]
        reads = {name: operands[_role(name)] for name in _named("input", roots)}
        keys = {name: at.key(at.type(name)) for name in _named("uniform", roots)}
        return tuple(_earlier(statement) for statement in at.elementwise(reads, writes, needed, keys))

    def _adjoint_again(self, at: Site, carries: bool) -> tuple[Statement, ...]:
        """`_adjoint` of several steps in a turn, which are computed again before."""
        (adjoint,) = self.gradients()
        operands = dict(zip(adjoint.reads, at.node.operands, strict=True))
        number = adjoint.reads.index("x")
        timed = at.type(operands["x"]).timed
        backs = self._again(lambda step: at.value(_in("x", step) if timed else "x", number), carries)
        states = {f"g{name}": State(f"g{name}", WORKING, 0.0, next) for name, next in backs[0].states.items()}
        writes: list[tuple[str | Instant, Expression, bool]] = []
        for name, result in zip(adjoint.served, at.node.results, strict=True):
            parts = [back.x if name == "x" else back.parameters[name] for back in backs]
            if result and at.type(result).timed:
                writes += [(Instant(result, step), part, False) for step, part in enumerate(parts)]
            elif result:
                total = "sum" if name == "x" else f"sum.{name}"
                gradient = state(total)
                for part in reversed(parts):
                    gradient = gradient + part
                states[total] = State(total, "f32", 0.0, gradient)
                writes.append((result, gradient, True))
        needed = _needed([gradient for _, gradient, _ in writes], states)
        roots = [*(gradient for _, gradient, _ in writes), *(part.next for part in needed)]
        reads = {name: Instant(operands[_role(name)], _step(name)) for name in _named("input", roots)}
        return at.elementwise(reads, writes, needed, every=self.every)

    def _again(self, x: Callable[[int], Expression], carries: bool) -> list[WayBack]:
        """The way back of each of several steps, which are computed again from the states before the first of them.

        *x* gives the input of a step; the gradients of the states go from each step to the one before.
        """
        parameters = {name: read(name) for name in self.learned()}
        unknown = {name: read(_kept(name)) for name in self.carried()}
        back = self._pulled_back(read("x"), unknown, carries, "h", bits=False)
        before: list[Values] = [unknown]
        made: list[Values] = []
        for step in range(self.every):
            results, states = self._taken(x(step), parameters, before[-1])
            made.append(results)
            before.append(self._held(states))
        found: list[WayBack] = []
        gradients: Values = {f"g{name}": state(f"g{name}") for name in back.states}
        for step in reversed(range(self.every)):
            known = {**made[step], "x": x(step), "error": read(_in("error", step)), **gradients}
            known |= {_kept(name): value for name, value in before[step].items()}
            values = rebuilt(
                [back.x, *back.parameters.values(), *back.states.values()],
                lambda leaf, known=known: known.get(leaf.name, leaf) if leaf.op in ("input", "state") else leaf,
            )
            of_x, *others = values
            of_parameters = dict(zip(back.parameters, others, strict=False))
            of_states = dict(zip(back.states, others[len(of_parameters) :], strict=True))
            found.insert(0, WayBack(of_x, of_parameters, of_states))
            gradients = {f"g{name}": edge(value, WORKING) for name, value in of_states.items()}
        return found

    @property
    def fires_again_with(self) -> tuple[str, ...]:
        """Learned parameters with which the full adjoint fires the step before again: they must be what they were."""
        if self.every > 1:
            return ()
        earlier = {name: read(name) for name in self.learned()}
        bits = self.bits_are_enough and not self.membrane_on_tape
        back = self._derived(read("x"), True, 0, "h", bits, earlier)
        roots = (back.x, *back.parameters.values(), *back.states.values())
        met = {id(part) for root in roots for part in root.walk()}
        return tuple(name for name, leaf in earlier.items() if id(leaf) in met)

    def _way_back(self, x: Expression, carries: bool, first: int, tensor: str) -> WayBack:
        """The derivative of a step, from bits where they tell all that the full adjoint needs, else from words.

        *first* is the turn of the sweep that takes the first step of time.
        """
        return self._derived(x, carries, first, tensor, self.bits_are_enough and not self.membrane_on_tape)

    @property
    def bits_are_enough(self) -> bool:
        """Whether the full adjoint follows from the bits of comparisons, without what they were compared from."""
        return set(self.compared).isdisjoint(map(_role, self._derived(read("x"), True, 0, "h", bits=True).reads))

    def _derived(
        self, x: Expression, carries: bool, first: int, tensor: str, bits: bool, earlier: Values | None = None
    ) -> WayBack:
        """The derivative of fire, and then that of charge.

        The states before a step are those that the step before it left: they are fired again from its tape, with the
        parameters of this step, or *earlier* ones.  What of them is not found there (its own states) must not be
        needed, or `gradients` says so.
        """
        parameters = earlier or {name: read(name) for name in self.learned()}
        unknown = {name: Expression("unknown", name=name) for name in self.carried()}
        before = Step(x, parameters, unknown, self._known(bits, _BEFORE), tensor)
        self.fire(before, {name: read(f"{name}{_BEFORE}") for name in self.charge(Step(x, parameters, unknown))})
        beginning = index("t").equals(float(first))
        held = self._held(before.next)
        states = {name: where(beginning, of.first, held[name]) for name, of in self.carried().items()}
        return self._pulled_back(x, states, carries, tensor, bits)

    def _known(self, bits: bool, when: str = "") -> Values:
        """What a step that is fired again need not compute."""
        return {name: read(f"{name}{when}") for name in ("s", "mask")} if bits else {}

    def _pulled_back(self, x: Expression, states: Values, carries: bool, tensor: str, bits: bool) -> WayBack:
        """The derivative of a step that begins with *states*; what it charged is read."""
        parameters = {name: read(name) for name in self.learned()}
        step = Step(x, parameters, states, self._known(bits), tensor)
        names = tuple(self.charge(Step(x, parameters, states)))
        kept = {name: read(name) for name in names}
        self.fire(step, kept)
        smooth = [name for name, of in self.carried().items() if of.differentiable]
        seeds = [(step.results[""], self.error())]
        seeds += [(step.next[name], state(f"g{name}")) for name in smooth if carries]
        inputs = [*parameters.values(), *(states[name] for name in smooth)]
        of_kept = pull_back(seeds, list(kept.values()), step.slopes)
        direct = pull_back(seeds, inputs, step.slopes)
        charging = Step(x, parameters, states, {name: replace(kept[name]) for name in names if name in self.results})
        charged = self.charge(charging)
        seeds = [(charged[name], part) for name, part in zip(names, of_kept, strict=True) if part is not None]
        of_x, *through = pull_back(seeds, [x, *inputs], charging.slopes)
        if of_x is None:
            assert self.late and not carries, f"no gradient passes {self.name}"
            of_x = lift(0.0)
        both = [_sum(one, other) for one, other in zip(through, direct, strict=True)]
        found = [(name, part) for name, part in zip((*parameters, *smooth), both, strict=True) if part is not None]
        of_parameters = {name: part for name, part in found if name in parameters}
        return WayBack(of_x, of_parameters, {name: part for name, part in found if carries and name in smooth})


@dataclass(frozen=True, kw_only=True)
class Leak(Neuron):
    """What leaks: ``h = decay * v + rho * current + (1 - decay) * rest``; rho is *gain*, or ``(1 - decay) * gain``."""

    decay: float = 0.5
    decay_input: bool = False
    gain: float = 1.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.decay <= 1, "decay", "between 0 and 1")

    @property
    def rho(self) -> float:
        """What the potential gets of the current."""
        return (1.0 - self.decay) * self.gain if self.decay_input else self.gain

    def leaked(self, v: Expression, current: Expression) -> Expression:
        """See the class."""
        h = product(v, lift(self.decay)) + product(current, lift(self.rho))
        eta = (1.0 - self.decay) * self.rest
        return h + eta if eta else h


def _role(name: str) -> str:
    """The result, operand or parameter that an expression calls *name*."""
    name = name.removesuffix(_BEFORE).partition(_STEP)[0]
    return "" if name == "s" else name


def _in(name: str, step: int) -> str:
    """What an expression calls *name* in one of the steps that a turn takes."""
    return f"{name}{_STEP}{step}"


def _step(name: str) -> int:
    """The step of `_in`; 0 where *name* says none."""
    return int(name.partition(_STEP)[2] or 0)


def _kept(name: str) -> str:
    """Suffix of the result that keeps a state."""
    return f"{name}.kept"


def _sum(one: Expression | None, other: Expression | None) -> Expression | None:
    """Both, or the one that there is."""
    return one + other if one is not None and other is not None else one or other


def _named(op: str, roots: Iterable[Expression]) -> list[str]:
    """Names of all leaves of a kind, in alphabetical order."""
    return sorted({part.name for root in roots for part in root.walk() if part.op == op})


def _needed(roots: Sequence[Expression], states: Mapping[str, State]) -> tuple[State, ...]:
    """Those of *states* that the *roots* are made of, through other states too."""
    found: set[str] = set()
    waiting = _named("state", roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _named("state", [states[name].next])
    return tuple(part for name, part in states.items() if name in found)


def _earlier(statement: Elementwise) -> Elementwise:
    """*statement* with what is called ``.before`` read one step earlier; before the first step that is 0."""

    def moved(name: str, access: Access) -> Access:
        if not name.endswith(_BEFORE):
            return access
        time, *rest = access.index
        return Access(access.value, (Index(time.terms, time.offset - 1), *rest))

    return replace(statement, reads={name: moved(name, access) for name, access in statement.reads.items()})
