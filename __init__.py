"""snnc compiles the training of spiking neural networks for multi-core accelerators, and runs what it compiled.

A network in a `.snn` file becomes a training graph, a schedule and a program of instructions for a described machine;
a golden-model interpreter executes that program bit for bit on real data and counts every byte that moves.

    from snnc import compile, load, Interpreter

Nothing is imported before it is asked for, so that the command starts at once.
"""

__version__ = "0.1.0"

# Public name: the module that defines it. `typings/snnc/__init__.pyi` says the same to type checkers.
_PUBLIC = {
    "Interpreter": ".runtime.interpreter",
    "compile": ".compiler.pipeline",
    "from_torch": ".pytorch.bring",
    "load": ".isa.binary",
    "to_torch": ".pytorch.give_back",
}


def __getattr__(name: str) -> object:
    """A public name, imported from its room at the first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_PUBLIC[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
