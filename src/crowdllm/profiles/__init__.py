"""Who the simulated participants are: generator, raking to margins, filters, participation, fidelity."""
