"""Benchmarks of whatever rules, tasks and networks are installed, and what is concluded from them.

``suite`` is a folder of benchmarks as asv reads them. It imports nothing of its surroundings, so that
asv can run it, as it stands, against another revision of rnnsim or of a plugin.
"""
