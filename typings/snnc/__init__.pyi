"""What the lazy names of `snnc` are, for type checkers; the links beside this file show them the rooms."""

from .compiler.pipeline import compile as compile
from .isa.binary import load as load
from .runtime.interpreter import Interpreter as Interpreter

__version__: str
