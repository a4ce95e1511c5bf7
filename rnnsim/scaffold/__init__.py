"""New plugin projects, from the readable files in ``templates``: a rule, a task or a network each."""

from rnnsim.scaffold.projects import new_project

__all__ = ["new_project"]
