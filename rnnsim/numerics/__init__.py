"""Linear algebra, elementary functions, fixed points and threads, for networks and rules."""
