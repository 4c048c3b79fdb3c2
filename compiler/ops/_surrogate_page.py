"""The page of surrogates, `docs/surrogates.md`, read off their table.

``python -m snnc.compiler.ops._surrogate_page`` writes it anew in a checkout; a test tells when it is out of date.
"""

from __future__ import annotations

from pathlib import Path

from ..ir.formula import OPERATIONS
from .surrogates import SURROGATES, Surrogate

PAGE = Path(__file__).parents[2] / "docs" / "surrogates.md"

_HEAD = """\
# Surrogates

<!-- Written by `python -m snnc.compiler.ops._surrogate_page`; change the table, not this page. -->

A spike is 1 or 0, and its derivative would be 0 nearly everywhere. Training puts a surrogate in its place: `phi(x)`,
where `x` is the distance of the membrane from the threshold, `h - threshold`. A neuron names one, and where you like
its parameters: `lif(c, surrogate=atan)`, `lif(c, surrogate=atan(alpha=3))`. Without one it has `triangle`.
`snnc list surrogates` shows this table too.

| surrogate | phi(x) | where it is found |
|---|---|---|
"""

_TAIL = f"""
A number beside a framework's name is its default where that differs. `rect`, `rect_of_height_1`, `triangle`,
`norse_triangle`, and `piecewise_leaky_relu` with `c=0`, are exactly 0 far from the threshold, so hardware can skip what
they gate. Oddities of frameworks are kept as they are coded, under names of their own: snnTorch's `triangular` is
positive below the threshold and negative above, and STBP's window has height 1 whatever its width. snnTorch's function
`LSO()` fails as it is coded; its documented slope is `leaky_k_relu(leak=0.1)`. Random numbers of `stochastic` belong to
the step, the sample and the element, so that no mapping shows in them.

## Your own

`custom` takes `phi`, a formula in quotes, and the numbers that the formula names:

```snn
network own(image: f16[16], slope=3) steps 4 {{
    a = linear(image, out=8)
    s = lif(a, surrogate=custom(phi="1 / (1 + slope * abs(x))^2", slope=slope))
    r = lif(s, surrogate=custom(phi="y = 1 / (1 + exp(-4 * x)); 4 * y * (1 - y)"))
    return linear(r, out=10)
}}
```

| written | means |
|---|---|
| `x`, `pi`, the numbers that are given | values |
| `+ - * /`, `a ^ b` | arithmetic; the power `b` is a number |
| `< <= > >= == !=`, `and`, `or`, `not` | 1 where it holds, else 0 |
| `where(condition, yes, no)` | a choice, element by element |
| `exp log tanh cos sqrt abs floor`, `min(a, b)`, `max(a, b)` | functions |
| `sum(i, first, last, term)` | the terms for `i` from `first` to `last`, added in this order |
| `uniform()` | a random number in [0, 1) of this element, the same wherever it stands in the formula |
| `y = value; ...` | a name for what is needed more than once |

What is made of numbers alone is computed by the compiler; what remains, at most {OPERATIONS} operations, runs in the
vector unit, each operation rounded to f32.
"""


def page() -> str:
    """The text that the page should have."""
    return _HEAD + "".join(map(_row, SURROGATES.values())) + _TAIL


def _row(entry: Surrogate) -> str:
    return f"| `{entry}` | `{entry.formula}` | {entry.source} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
