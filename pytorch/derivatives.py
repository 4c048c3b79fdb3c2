"""Which surrogate a function of a framework has: its derivative is measured, and looked for among ours.

Frameworks spell and scale surrogates differently, and change them from version to version; what autograd answers does
not lie.  The numbers that the function holds (alpha, slope, k) are tried as our parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations
from types import FunctionType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..compiler.evaluate import Numerics, evaluate_statements
from ..compiler.ir.expression import read
from ..compiler.ir.graph import Setting
from ..compiler.ir.statement import Access, Elementwise, Write, loop
from ..compiler.ir.types import Type
from ..compiler.ops.op import SettingFault
from ..compiler.ops.surrogates import SURROGATES, complete, derivative
from .installed import torch

Array = NDArray[Any]

_SIZES = (0.003, 0.01, 0.03, 0.08, 0.2, 0.37, 0.45, 0.55, 0.71, 0.93, 1.1, 1.6, 2.3, 4.1)
POINTS = np.array([*(-size for size in reversed(_SIZES)), *_SIZES])
"""Distances of a membrane from its threshold; none of them is where a surrogate jumps by default."""


def surrogate_of(function: Callable[[Any], Any], held: object = None) -> Setting | None:
    """Our surrogate with the derivative of *function*, if there is one; *held* are more numbers that it may use."""
    try:
        slopes = measured(function)
    except Exception:  # a function that has no derivative breaks wherever it likes
        return None
    return _among(slopes, [*numbers_in(function), *numbers_in(held)])


def measured(function: Callable[[Any], Any]) -> Array:
    """What autograd says of *function* at `POINTS`."""
    framework = torch()
    with framework.enable_grad():
        x = framework.tensor(POINTS, dtype=framework.float64, requires_grad=True)
        (slope,) = framework.autograd.grad(function(x).sum(), x)
    return np.asarray(slope.detach().cpu().numpy(), np.float64)


def own_functions(value: Any) -> set[Any]:
    """Those nodes of *value*'s graph whose derivative is spelled out in Python, as that of every surrogate is."""
    written_out = torch().autograd.function.BackwardCFunction
    seen: set[Any] = set()
    ahead = [value.grad_fn]
    while ahead:
        function = ahead.pop()
        if function is not None and function not in seen:
            seen.add(function)
            ahead += [before for before, _ in function.next_functions]
    return {function for function in seen if isinstance(function, written_out)}


def numbers_in(thing: object) -> list[float]:
    """The numbers that an object or a closure holds, each once."""
    values: list[Any] = []
    if isinstance(thing, FunctionType):
        values += [cell.cell_contents for cell in thing.__closure__ or ()]
    elif isinstance(thing, dict):
        values += cast(dict[str, Any], thing).values()
    else:
        values += getattr(thing, "__dict__", {}).values()
    found: list[float] = []
    for value in values:
        single = value.item() if torch().is_tensor(value) and value.numel() == 1 else value
        if isinstance(single, int | float) and not isinstance(single, bool) and _short(float(single)) not in found:
            found.append(_short(float(single)))
    return found


def _short(value: float) -> float:
    """The number of few digits that *value* was before it was rounded to float32, if there is one."""
    short = float(f"{value:.7g}")
    return short if np.float32(short) == np.float32(value) else value


def _among(slopes: Array, numbers: list[float]) -> Setting | None:
    """The first surrogate of ours with these *slopes* at `POINTS`."""
    for call in _candidates(numbers):
        try:
            completed = complete(call)
        except SettingFault:
            continue
        if np.allclose(_ours(completed), slopes, rtol=1e-5, atol=1e-7 * max(float(np.abs(slopes).max()), 1e-30)):
            return completed
    return None


def _candidates(numbers: list[float]) -> Iterator[Setting]:
    """Every surrogate whose derivative is no matter of chance, with every choice of *numbers* for its parameters."""
    for name, surrogate in SURROGATES.items():
        if "uniform()" in surrogate.formula:
            continue
        parameters = surrogate.parameters
        for values in permutations(numbers, len(parameters)):
            whole = (
                int(value) if p.whole and value == int(value) else value
                for p, value in zip(parameters, values, strict=True)
            )
            yield (name, *zip((parameter.name for parameter in parameters), whole, strict=True))
        if parameters and all(parameter.default is not None for parameter in parameters):
            yield name


@cache
def _ours(call: Setting) -> Array:
    """The derivative of a complete call at `POINTS`."""
    write = Write(Access("y", (loop("c"),)), derivative(call, read("x")))
    statement = Elementwise((("c", POINTS.size),), 0, {"x": Access("x", (loop("c"),))}, (), (write,))
    types = {"x": Type.of("f32", POINTS.size), "y": Type.of("f32", POINTS.size)}
    return np.asarray(evaluate_statements([statement], {"x": POINTS}, types, Numerics("f64"), {}, (1, 1))["y"])
