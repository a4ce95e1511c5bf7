"""asv's benchmarks, parametrised from the registry: a rule or task that is installed is measured.

Times are per step, by a clock that counts in steps (:class:`.alone.PerStep`); each timed call lasts a
millisecond or more, and compiles nothing.
"""
