"""Index notation: one line says a sum of products, and both of its gradients follow by exchanging roles.

``y[o, p, q] += x[c, p*stride + r, q*stride + s] * w[o, c, r, s] + b[o]`` is read over *logical factors*; time and
sample are added by `ops.op.lower`.  The gradient of ``x`` makes ``x`` the target and ``y`` (its error) an operand,
that of ``w`` likewise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .statement import Index

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Term:
    """One value with an index for each of its factors."""

    name: str
    index: tuple[Index, ...]

    @property
    def loops(self) -> tuple[str, ...]:
        """Loops that the value follows, as they appear."""
        return tuple(dict.fromkeys(loop for index in self.index for loop, _ in index.terms))

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True)
class Equation:
    """``target += left * right + bias``; *left* None stands for ones."""

    target: Term
    left: Term | None
    right: Term
    bias: Term | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """Target and operands, without the bias."""
        return tuple(term for term in (self.target, self.left, self.right) if term is not None)

    @property
    def loops(self) -> tuple[str, ...]:
        """Every loop: those of the target, then those that are summed."""
        return (*self.target.loops, *self.summed)

    @property
    def summed(self) -> tuple[str, ...]:
        """Loops that the target does not follow, as they appear in *right*, then in *left*."""
        operands = (self.right,) if self.left is None else (self.right, self.left)
        seen = dict.fromkeys(loop for term in operands for loop in term.loops)
        return tuple(loop for loop in seen if loop not in self.target.loops)

    def gradient(self, name: str) -> Equation:
        """The equation of the gradient of operand *name*; the target's place is taken by its error.

        Data are the left operand and weights the right one, so that of *left* is ``error * right`` and that of
        *right* is ``left * error``; that of the bias sums the error.
        """
        if self.left is not None and name == self.left.name:
            return Equation(self.left, self.target, self.right)
        if name == self.right.name:
            return Equation(self.right, self.left, self.target)
        if self.bias is not None and name == self.bias.name:
            return Equation(self.bias, None, self.target)
        raise KeyError(name)

    def substitute(self, changes: Mapping[str, Index]) -> Equation:
        """Every loop of *changes* replaced by an index, all at once."""

        def change(term: Term) -> Term:
            return Term(term.name, tuple(substitute(index, changes) for index in term.index))

        left = None if self.left is None else change(self.left)
        bias = None if self.bias is None else change(self.bias)
        return replace(self, target=change(self.target), left=left, right=change(self.right), bias=bias)

    def extents(self, shapes: Shapes, given: Mapping[str, int] | None = None) -> dict[str, int]:
        """Extent of each loop: *given*, or the factor that it walks alone in one of the *shapes* (by operand)."""
        known = dict(given or {})
        for term in self.terms:
            for index, extent in zip(term.index, shapes[term.name], strict=True):
                if len(index.terms) == 1 and index.terms[0][1] == 1 and not index.offset:
                    known.setdefault(index.terms[0][0], extent)
        missing = [loop for loop in self.loops if loop not in known]
        assert not missing, f"{self}: no extent for {', '.join(missing)}"
        return {loop: known[loop] for loop in self.loops}

    def __str__(self) -> str:
        product = str(self.right) if self.left is None else f"{self.left} * {self.right}"
        return f"{self.target} += {product}" + (f" + {self.bias}" if self.bias else "")


def substitute(index: Index, changes: Mapping[str, Index]) -> Index:
    """*index* with loops replaced by indices."""
    terms: dict[str, int] = {}
    offset = index.offset
    for loop, coefficient in index.terms:
        new = changes.get(loop, Index(((loop, 1),)))
        offset += coefficient * new.offset
        for name, step in new.terms:
            terms[name] = terms.get(name, 0) + coefficient * step
    return Index(tuple((name, c) for name, c in terms.items() if c), offset)


_TERM = re.compile(r"\s*(\w+)\s*\[([^\]]*)\]\s*")


def parse(line: str, constants: Mapping[str, int] | None = None) -> Equation:
    """The equation that *line* says; names in *constants* are numbers, all others are loops.

    ValueError for anything else than ``target[..] += left[..] * right[..] + bias[..]``, left and bias optional.
    """
    target, found, rest = line.partition("+=")
    if not found:
        raise ValueError(f"no '+=' in {line!r}")
    product, bias = _operands(rest, line)
    numbers = constants or {}
    terms = [_term(part, numbers) for part in product]
    if len(terms) not in (1, 2):
        raise ValueError(f"one or two factors are multiplied, not {len(terms)}: {line!r}")
    left = terms[0] if len(terms) == 2 else None
    return Equation(_term(target, numbers), left, terms[-1], None if bias is None else _term(bias, numbers))


def _operands(text: str, line: str) -> tuple[list[str], str | None]:
    """The factors and the bias; signs inside brackets do not separate."""
    outside = re.sub(r"\[[^\]]*\]", lambda match: "[" + " " * (len(match.group()) - 2) + "]", text)
    if outside.count("+") > 1:
        raise ValueError(f"only one bias can be added: {line!r}")
    cut = outside.find("+")
    product, bias = (text, None) if cut < 0 else (text[:cut], text[cut + 1 :])
    stars = [place for place, letter in enumerate(outside[: len(product)]) if letter == "*"]
    ends = [-1, *stars, len(product)]
    return [product[ends[k] + 1 : ends[k + 1]] for k in range(len(ends) - 1)], bias


def _term(text: str, constants: Mapping[str, int]) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"expected NAME[index, ...], found {text.strip()!r}")
    name, inside = match.groups()
    parts = [part for part in inside.split(",") if part.strip()]
    return Term(name, tuple(_index(part, constants) for part in parts))


def _index(text: str, constants: Mapping[str, int]) -> Index:
    """A signed sum of products of numbers, constants and at most one loop each."""
    terms: dict[str, int] = {}
    offset = 0
    pieces = re.findall(r"([+-]?)\s*([^+-]+)", text.strip())
    if not pieces or "".join(sign + piece for sign, piece in pieces).replace(" ", "") != text.replace(" ", ""):
        raise ValueError(f"not an affine index: {text.strip()!r}")
    for sign, piece in pieces:
        coefficient, loops = -1 if sign == "-" else 1, list[str]()
        for factor in (word.strip() for word in piece.split("*")):
            if factor.isdecimal():
                coefficient *= int(factor)
            elif factor in constants:
                coefficient *= constants[factor]
            elif factor.isidentifier():
                loops.append(factor)
            else:
                raise ValueError(f"not an affine index: {text.strip()!r}")
        if len(loops) > 1:
            raise ValueError(f"two loops are multiplied: {text.strip()!r}")
        if loops:
            terms[loops[0]] = terms.get(loops[0], 0) + coefficient
        else:
            offset += coefficient
    return Index(tuple((loop, c) for loop, c in terms.items() if c), offset)
