"""Pictures of results, for people who would rather see than read."""
