"""Every instruction of the machine, one file a unit.  Importing this package registers them all."""

from . import control, describe, engine, move, route, vector

__all__ = ["control", "describe", "engine", "move", "route", "vector"]
