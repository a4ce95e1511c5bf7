"""The task that is made of the user's own data, and readers of its files."""
