"""First values of parameters, drawn by counter-based numbers keyed by logical element, so that no tiling shows.

An initialiser writes one value to all of its results (the master and its rounded working copy); random numbers
belong to the tensor that the first result names.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from ...catalog import ClassCatalog, UnknownName
from ..ir import expression
from ..ir.expression import Expression, lift
from ..ir.graph import Setting
from ..ir.statement import Statement
from ..ir.types import Type
from .op import Op, SettingFault, called
from .site import Site


class Initialiser(Op):
    """``parameter, parameter.master = initialiser()``."""

    family: ClassVar = "initialiser"
    random: ClassVar[bool] = True

    @abstractmethod
    def draw(self, type: Type, tensor: str) -> Expression:
        """The value of an element of *tensor*; SettingFault where *type* tells no fan-in."""

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """The same value, rounded to the format of each result."""
        tensor = next(name for name in at.node.results if name)
        value = self.draw(at.type(tensor), tensor)
        keys = {tensor: at.key(at.type(tensor))} if self.random else {}
        return at.elementwise({}, [(name, value) for name in at.node.results], random=keys)

    def fans(self, type: Type) -> tuple[int, int]:
        """(fan-in, fan-out) of a weight: channels times taps, as PyTorch counts them."""
        if len(type.axes) < 2:
            raise SettingFault(f"{self.name} needs a weight with a fan-in, not {type}", "init")
        outputs, inputs, *taps = type.shape
        return inputs * math.prod(taps), outputs * math.prod(taps)


INITIALISERS: ClassCatalog[Initialiser] = ClassCatalog(__package__ or "", Initialiser, "initialiser")


def complete(call: Setting) -> Setting:
    """The call of an initialiser with all of its settings; SettingFault where there is no such."""
    name, given = called(call)
    try:
        made: Any = INITIALISERS[name].make(given)
    except UnknownName as error:
        raise SettingFault(str(error), "") from None
    return name, *asdict(made).items()


InitialiserCall: TypeAlias = Annotated[Any, complete]
"""A setting such as ``normal`` or ``normal(std=0.5)``."""

KAIMING: InitialiserCall = "kaiming_uniform", ("a", math.sqrt(5.0))
"""What weights begin with where nothing else is said, as those of PyTorch do."""


def uniform_within(tensor: str, bound: float) -> Expression:
    """Uniform in [-bound, bound)."""
    return expression.uniform(tensor) * (2 * bound) - bound


def bias_initialiser(weight: Type) -> Setting:
    """PyTorch's for the bias beside *weight*: uniform within 1 / sqrt(fan-in)."""
    return "uniform", ("bound", 1 / math.sqrt(math.prod(weight.shape[1:])))


@dataclass(frozen=True, kw_only=True)
class KaimingUniform(Initialiser):
    """Uniform within ``sqrt(6 / ((1 + a*a) * fan_in))`` (He et al. 2015); a = sqrt(5), as PyTorch's layers have it,
    gives ``1 / sqrt(fan_in)``."""

    name: ClassVar = "kaiming_uniform"

    a: float = math.sqrt(5.0)

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return uniform_within(tensor, math.sqrt(6 / ((1 + self.a**2) * self.fans(type)[0])))


@dataclass(frozen=True, kw_only=True)
class KaimingNormal(Initialiser):
    """Normal with deviation ``sqrt(2 / ((1 + a*a) * fan_in))`` (He et al. 2015)."""

    name: ClassVar = "kaiming_normal"

    a: float = 0.0

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return expression.normal(tensor) * math.sqrt(2 / ((1 + self.a**2) * self.fans(type)[0]))


@dataclass(frozen=True, kw_only=True)
class XavierUniform(Initialiser):
    """Uniform within ``gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio 2010)."""

    name: ClassVar = "xavier_uniform"

    gain: float = 1.0

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return uniform_within(tensor, self.gain * math.sqrt(6 / sum(self.fans(type))))


@dataclass(frozen=True, kw_only=True)
class XavierNormal(Initialiser):
    """Normal with deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio 2010)."""

    name: ClassVar = "xavier_normal"

    gain: float = 1.0

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return expression.normal(tensor) * (self.gain * math.sqrt(2 / sum(self.fans(type))))


@dataclass(frozen=True, kw_only=True)
class Uniform(Initialiser):
    """Uniform in [-bound, bound)."""

    name: ClassVar = "uniform"

    bound: float

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return uniform_within(tensor, self.bound)


@dataclass(frozen=True, kw_only=True)
class Normal(Initialiser):
    """Normal with mean 0."""

    name: ClassVar = "normal"

    std: float = 1.0

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return expression.normal(tensor) * self.std


@dataclass(frozen=True, kw_only=True)
class Constant(Initialiser):
    """One value everywhere."""

    name: ClassVar = "constant"
    random: ClassVar = False

    value: float

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return lift(self.value)


@dataclass(frozen=True, kw_only=True)
class Zeros(Initialiser):
    """0 everywhere."""

    name: ClassVar = "zeros"
    random: ClassVar = False

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return lift(0.0)


@dataclass(frozen=True, kw_only=True)
class Ones(Initialiser):
    """1 everywhere."""

    name: ClassVar = "ones"
    random: ClassVar = False

    def draw(self, type: Type, tensor: str) -> Expression:
        """See the class."""
        return lift(1.0)
