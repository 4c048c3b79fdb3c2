"""What the lazy names of `snnc` are, for type checkers; the links beside this file show them the rooms."""

from .compiler.pipeline import compile as compile
from .isa.binary import load as load
from .pytorch.bring import from_torch as from_torch
from .pytorch.give_back import to_torch as to_torch
from .runtime.interpreter import Interpreter as Interpreter

__version__: str
