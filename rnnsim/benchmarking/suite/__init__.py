"""asv benchmarks, parametrised from the registry: every installed rule and task is measured.

Times are per step, by a timer that is scaled to steps (:class:`.timing.PerStep`). Each timed call lasts
a millisecond or more, and compiles nothing.
"""
