"""Linear algebra, elementary functions, fixed points: what networks and rules are made of."""
