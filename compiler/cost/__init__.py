"""What a schedule costs: traffic, energy, time, bounds and baselines as closed formulas."""
