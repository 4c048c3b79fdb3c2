"""Machines: one TOML file a machine."""
