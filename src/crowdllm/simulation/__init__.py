"""The one path from a fitted crowd to responses: who answers what, decided block by block with keyed noise."""
