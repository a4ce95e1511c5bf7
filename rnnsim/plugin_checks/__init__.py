"""What is wrong with a plugin, in one line each: its hooks, and the classes that it registers."""
