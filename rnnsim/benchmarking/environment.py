"""An asv virtualenv environment without network access: dependencies come from the current environment.

A new environment contains only the project, at the revision that is measured. Everything else is found
through a link to the packages of the environment that this Python runs in, so that both revisions of a
comparison have identical dependencies. ``asv.conf.json`` lists this module among its ``plugins``.
"""

from __future__ import annotations

import site
from pathlib import Path

from asv.plugins.virtualenv import Virtualenv

INSTALL = [
    "in-dir={env_dir} python -m pip install --quiet --no-deps --no-index --no-build-isolation "
    "--ignore-installed {build_dir}"
]


class LinkedVirtualenv(Virtualenv):  # type: ignore[misc]  # asv has no types
    """A virtualenv that finds the packages of the current environment after its own."""

    tool_name = "virtualenv-linked"

    def _install_requirements(self) -> None:
        where = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        own = Path(self.run_executable("python", ["-c", where]).strip())
        (own / "current-environment.pth").write_text(link())


def link() -> str:
    """The line of a .pth file; ``addsitedir``, unlike a plain path, honours editable installs."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return "import site; " + "; ".join(f"site.addsitedir({folder!r})" for folder in folders) + "\n"
