"""Programs that reduce rows longer than a block: the kernel goes once along all rows, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from .axes import Lying
from .slots import Coded


def goes_once(operations: Sequence[Coded], lying: Sequence[Lying | None], along: int) -> bool:
    """Whether nothing but what is made of whole rows, the axes from *along* on, is stored, and nothing of a row has to
    wait for what is made of all of it."""
    whole: set[int] = set()  # registers in which all lanes of a row are one
    made: set[int] = set()  # those that are known at the end of a row
    for one in operations:
        read = set(one.registers)
        if one.form == "reduce" and read & made:
            return False
        if one.form == "store":
            operand = lying[one.b]
            if not read <= whole or operand is None or not _of_rows(operand, along):
                return False
            continue
        operand = None if one.operand is None else lying[one.operand]
        alike = one.form == "reduce" or (read <= whole and (operand is None or _of_rows(operand, along)))
        late = one.form == "reduce" or bool(read & made)
        (whole.add if alike else whole.discard)(one.dst)
        (made.add if late else made.discard)(one.dst)
    return True


def _of_rows(operand: Lying, along: int) -> bool:
    """Whether there is one element for each row."""
    return all(size == 1 for size in operand.shape[along:])
