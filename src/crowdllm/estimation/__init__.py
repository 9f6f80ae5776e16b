"""How far a crowd can be trusted: intervals, risk, the gate, and how many humans are still needed."""
