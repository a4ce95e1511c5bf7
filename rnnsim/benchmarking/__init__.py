"""Benchmarks of the installed rules, tasks and networks, and the comparison of two revisions by them.

``suite`` is a folder of asv benchmarks. It imports nothing from this folder, so that asv can run it
unchanged against another revision of rnnsim or of a plugin.
"""
