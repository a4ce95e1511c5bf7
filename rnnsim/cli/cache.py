"""``rnnsim cache``: list or remove the compiled kernels on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from rnnsim.compiler import kernel_files
from rnnsim.compiler.kernel_files import KernelFile
from rnnsim.compiler.trust import trusted_folder


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove them; each is compiled again when it is next used.")
@click.option("--folder", is_flag=True, help="Print the folder they are in, and nothing else.")
def command(clear: bool, folder: bool) -> None:
    """Show the compiled kernels on disk, or remove them.

    They are kept in the user's cache folder, or in the folder RNNSIM_CACHE_DIR. When they exceed
    512 MB, or RNNSIM_CACHE_SIZE megabytes (0 for no cache), the least recently used are removed.
    They are used only if nobody but the user or root may write to them and to their folder.
    """
    if folder:
        click.echo(kernel_files.folder())
    elif clear:
        click.echo(f"removed {_amount(kernel_files.clear())} from {kernel_files.folder()}")
    else:
        trusted_folder(kernel_files.folder())  # a line says so if it is not used
        most = kernel_files.max_bytes() / kernel_files.MEGABYTE
        found = kernel_files.files()
        for line in _table(found):
            click.echo(line)
        click.echo(f"{_amount(found)} of at most {most:g} MB in {kernel_files.folder()}")


def _table(files: Sequence[KernelFile]) -> list[str]:
    """A line for each kernel, the most recently used first."""
    kernels: dict[str, list[KernelFile]] = {}
    for file in files:
        kernels.setdefault(file.kernel, []).append(file)
    width = max(map(len, kernels), default=0)
    return [
        f"{kernel:<{width}}  {_amount(of):>18}  last used {_when(of[0].used)}"
        for kernel, of in kernels.items()
    ]


def _amount(files: Sequence[KernelFile]) -> str:
    size = sum(file.size for file in files) / kernel_files.MEGABYTE
    return f"{len(files)} file{'' if len(files) == 1 else 's'}, {size:.1f} MB"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
