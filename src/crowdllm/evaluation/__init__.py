"""How close a simulated crowd comes to a human one: metrics, floors and intervals."""
