"""Surrogate derivatives of the spike, ``phi(x)`` with ``x = h - threshold``.

To add one, add a line: its word in a network, its parameters with their defaults, where it comes from, the formula
(see `ir.formula`).  ``custom`` takes its formula from the network itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, cast

from ...catalog import unknown
from ..ir.expression import Expression, read
from ..ir.formula import RESERVED, FormulaFault, formula, names_in
from ..ir.graph import Setting
from ..ir.values import is_name, text_of_setting
from .op import SettingFault, SettingField, called

CUSTOM = "custom"
CUSTOM_MEANING = "a formula of x = h - threshold, and the numbers that it names"


@dataclass(frozen=True)
class Parameter:
    """A number that a surrogate takes, greater than *above*; *default* None where it must be given."""

    name: str
    default: float | None
    above: float = -math.inf
    whole: bool = False

    def check(self, value: Setting, surrogate: str) -> Setting:
        """*value* as a number of the right kind; SettingFault where it is none."""
        kind = SettingField(self.name, "int" if self.whole else "float", self.default)
        try:
            number = cast(float, kind.check(value, surrogate))
        except SettingFault as fault:
            raise SettingFault(fault.message, "", self.name) from None
        if not self.above < number < math.inf:
            wanted = "a finite number" if self.above == -math.inf else f"above {self.above:g}"
            raise SettingFault(f"{self.name} of {surrogate} is {wanted}, not {number}", "", self.name)
        return number

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default:g}"


def _above(bound: float, /, **defaults: float | None) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, default, bound) for name, default in defaults.items())


def _positive(**defaults: float | None) -> tuple[Parameter, ...]:
    return _above(0.0, **defaults)


def _count(above: int, /, **defaults: int) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, default, above, whole=True) for name, default in defaults.items())


def _any(**defaults: float) -> tuple[Parameter, ...]:
    return _above(-math.inf, **defaults)


@dataclass(frozen=True)
class Surrogate:
    """*formula* of x and the *parameters*; *source* says who uses it, under which name if under another."""

    name: str
    parameters: tuple[Parameter, ...]
    source: str
    formula: str

    def complete(self, given: Mapping[str, Setting]) -> dict[str, Setting]:
        """Every parameter, given or by default; SettingFault for an unknown, missing or bad one."""
        known = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in known:
                raise SettingFault(str(unknown(f"parameter of {self.name}", name, known)), "", name)
        values: dict[str, Setting] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                raise SettingFault(f"{self.name} needs the parameter {parameter.name}", "")
            values[parameter.name] = parameter.check(value, self.name)
        return values

    def __str__(self) -> str:
        """As one writes it: ``atan(alpha=2)``."""
        return f"{self.name}({', '.join(map(str, self.parameters))})" if self.parameters else self.name


_ALL = (
    Surrogate("rect", _positive(alpha=1.0), "tdBN, MS-ResNet; SpikingJelly Rect",
              "where(abs(x) < 0.5 / alpha, alpha, 0)"),
    Surrogate("rect_of_height_1", _positive(w=0.5), "STBP (lens w)",
              "where(abs(x) < w, 1, 0)"),
    Surrogate("triangle", _positive(alpha=1.0), "SLTT, TET (g = 1 / alpha); SpikingJelly PiecewiseQuadratic",
              "max(alpha - alpha^2 * abs(x), 0)"),
    Surrogate("norse_triangle", _positive(alpha=0.3), "Norse triangle (Bellec et al. 2020)",
              "alpha * max(1 - abs(x), 0)"),
    Surrogate("snntorch_triangular", _any(threshold=1.0), "snnTorch triangular, whose sign turns at 0",
              "where(x >= 0, -threshold, threshold)"),
    Surrogate("sigmoid", _positive(alpha=4.0), "OTTT; SpikingJelly's default; snnTorch sigmoid (25)",
              "y = 1 / (1 + exp(-alpha * x)); alpha * y * (1 - y)"),
    Surrogate("atan", _positive(alpha=2.0), "SpikingJelly ATan; snnTorch's default",
              "alpha / 2 / (1 + (pi * alpha / 2 * x)^2)"),
    Surrogate("fast_sigmoid", _positive(k=25.0), "snnTorch fast_sigmoid; SuperSpike; Norse super (100)",
              "1 / (1 + k * abs(x))^2"),
    Surrogate("sparse_fast_sigmoid", _positive(k=25.0) + _any(bound=1.0), "snnTorch SFS",
              "where(x > bound, 1 / (1 + k * abs(x))^2, 0)"),
    Surrogate("super_spike", _positive(alpha=1.0), "SpikingJelly SuperSpike; Norse super up to 1.1.0",
              "alpha / (1 + abs(x))^2"),
    Surrogate("soft_sign", _positive(alpha=2.0), "SpikingJelly SoftSign",
              "alpha / 2 / (1 + alpha * abs(x))^2"),
    Surrogate("erf", _positive(alpha=2.0), "SpikingJelly Erf",
              "alpha / sqrt(pi) * exp(-(alpha * x)^2)"),
    Surrogate("heavi_erfc", _positive(k=None), "Norse heavi_erfc",
              "2 / sqrt(pi) * exp(-(k * x)^2)"),
    Surrogate("tanh", _positive(k=None), "Norse tanh, without the factor k",
              "1 - tanh(k * x)^2"),
    Surrogate("circ", _positive(alpha=None), "Norse circ",
              "q = alpha^2 + x^2; alpha^3 / (q * sqrt(q))"),
    Surrogate("piecewise_exp", _positive(alpha=1.0), "SpikingJelly PiecewiseExp",
              "alpha / 2 * exp(-alpha * abs(x))"),
    Surrogate("nonzero_sign_log_abs", _positive(alpha=1.0), "SpikingJelly NonzeroSignLogAbs",
              "1 / (1 / alpha + abs(x))"),
    Surrogate("piecewise_leaky_relu", _positive(w=1.0) + _any(c=0.01), "SpikingJelly PiecewiseLeakyReLU",
              "where(abs(x) < w, 1 / (2 * w), c)"),
    Surrogate("q_pseudo_spike", _above(1.0, alpha=2.0), "SpikingJelly QPseudoSpike",
              "(1 + 2 / (alpha - 1) * abs(x))^-alpha"),
    Surrogate("leaky_k_relu", _any(leak=0.0, k=1.0), "SpikingJelly LeakyKReLU; snnTorch heaviside, LSO (0.1, 1)",
              "where(x >= 0, k, leak)"),
    Surrogate("log_tailed_relu", _any(alpha=0.0), "SpikingJelly LogTailedReLU",
              "where(x > 1, 1 / x, where(x > 0, 1, alpha))"),
    Surrogate("fake_numerical_gradient", _positive(alpha=0.3), "SpikingJelly FakeNumericalGradient",
              "min(1 / abs(x), alpha)"),
    Surrogate("s2nn", _positive(alpha=4.0, beta=1.0), "SpikingJelly S2NN",
              "y = 1 / (1 + exp(-alpha * x)); where(x < 0, alpha * y * (1 - y), beta / (x + 1))"),
    Surrogate("squarewave_fourier", _count(1, n=2) + _positive(period=8.0), "SpikingJelly SquarewaveFourierSeries",
              "4 / period * sum(i, 1, n - 1, cos((2 * i - 1) * 2 * pi / period * x))"),
    Surrogate("straight_through", (), "SpikingJelly DeterministicPass; snnTorch straight_through_estimator",
              "1"),
    Surrogate("spike_rate_escape", _positive(beta=1.0, k=25.0), "snnTorch spike_rate_escape",
              "k * exp(-beta * abs(x - 1))"),
    Surrogate("stochastic", _any(mean=0.0, variance=0.2), "snnTorch SSO",
              "where(x > 0, 1, (uniform() - 0.5 + mean) * variance)"),
)  # fmt: skip
SURROGATES: dict[str, Surrogate] = {entry.name: entry for entry in _ALL}


def complete(call: Setting) -> Setting:
    """The call of a surrogate with all of its parameters; SettingFault where there is no such."""
    name, given = _read(call)
    if name == CUSTOM:
        return name, *_custom(given).items()
    if name not in SURROGATES:
        raise SettingFault(str(unknown("surrogate", name, [*SURROGATES, CUSTOM])), "")
    completed = name, *SURROGATES[name].complete(given).items()
    try:
        derivative(completed, read("x"))
    except FormulaFault as fault:
        raise SettingFault(f"{text_of_setting(completed)}: {fault.message}", "") from None
    return completed


SurrogateCall: TypeAlias = Annotated[tuple[Any, ...], complete]
"""A setting such as ``atan`` or ``atan(alpha=3)``."""

TRIANGLE: SurrogateCall = "triangle", ("alpha", 1.0)
"""The surrogate of neurons that name none."""


def derivative(call: Setting, x: Expression, tensor: str = "") -> Expression:
    """``phi(x)`` of a complete call; random numbers are those of this logical element of *tensor*."""
    name, given = called(call)
    text = cast(str, given["phi"]) if name == CUSTOM else SURROGATES[name].formula
    numbers = {key: float(cast(float, value)) for key, value in given.items() if key != "phi"}
    return formula(text, {"x": x, **numbers}, tensor)


def two_values(call: Setting, x: Expression) -> tuple[Expression, Expression, Expression] | None:
    """(condition, yes, no) where ``phi(x)`` is one of two numbers, so that one bit tells it; None where it is not."""
    phi = derivative(call, x)
    if phi.op != "select" or any(value.op != "constant" for value in phi.args[1:]):
        return None
    condition, yes, no = phi.args
    return condition, yes, no


def _read(call: Setting) -> tuple[str, dict[str, Setting]]:
    """Name and parameters as they are given; SettingFault where *call* has no such form."""
    try:
        name, given = called(call)
    except SettingFault:
        wanted = "a surrogate and its parameters by name, such as atan or atan(alpha=2.0)"
        raise SettingFault(f"expected {wanted}, not {text_of_setting(call)}", "") from None
    names = [cast(tuple[str, Setting], part)[0] for part in call[1:]] if isinstance(call, tuple) else []
    for key in given:
        if names.count(key) > 1:
            raise SettingFault(f"{key} is given twice", "", key)
    return name, given


def _custom(given: Mapping[str, Setting]) -> dict[str, Setting]:
    """``phi``, a formula of x, and the numbers that it names; SettingFault where *given* are something else."""
    text = given.get("phi")
    if text is None:
        raise SettingFault('custom needs its formula: custom(phi="1 / (1 + abs(x))")', "")
    if not isinstance(text, str):
        raise SettingFault(f"phi of custom is a formula in quotes, not {text_of_setting(text)}", "", "phi")
    completed: dict[str, Setting] = {"phi": text}
    for name, value in given.items():
        if name in RESERVED or "." in name or not is_name(name):
            raise SettingFault(f"{name} cannot be the name of a number in a formula", "", name)
        if name != "phi":
            completed[name] = Parameter(name, None).check(value, CUSTOM)
    try:
        derivative((CUSTOM, *completed.items()), read("x"))
    except FormulaFault as fault:
        raise SettingFault(fault.message, "", "phi", fault.offset) from None
    for name in given.keys() - {"phi"} - names_in(text):
        raise SettingFault(f"the formula does not name {name}", "", name)
    return completed
