"""CrowdLLM: digital populations whose answers are distributed like those of real people."""

__version__ = "0.1.0"
