"""``rnnsim cache``: list or remove the compiled kernels on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from rnnsim.cli.printing import as_json, print_summary
from rnnsim.compiler import kernel_files
from rnnsim.compiler.kernel_files import KernelFile
from rnnsim.compiler.trust import trusted_folder


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove them; each is compiled again when it is next used.")
@click.option("--folder", is_flag=True, help="Print the folder they are in, and nothing else.")
@as_json
def command(clear: bool, folder: bool, as_json: bool) -> None:
    """Show the compiled kernels on disk, or remove them.

    They are kept in the user's cache folder, or in the folder RNNSIM_CACHE_DIR. When they exceed
    512 MB, or RNNSIM_CACHE_SIZE megabytes (0 for no cache), the least recently used are removed.
    They are used only if nobody but the user or root may write to them and to their folder.
    """
    place = str(kernel_files.folder())
    if folder:
        print_summary(as_json, lambda: {"folder": place}, lambda: place)
        return
    if clear:
        gone = kernel_files.clear()
        print_summary(
            as_json,
            lambda: {"folder": place, "removed": _sizes(gone)},
            lambda: f"removed {_amount(gone)} from {place}",
        )
        return
    trusted_folder(kernel_files.folder())  # a line says so if it is not used
    most, found = kernel_files.max_bytes(), kernel_files.files()
    total = f"{_amount(found)} of at most {most / kernel_files.MEGABYTE:g} MB in {place}"
    print_summary(
        as_json,
        lambda: {"folder": place, "most_bytes": most, **_sizes(found), "kernels": _kernels(found)},
        lambda: "\n".join([*_table(found), total]),
    )


def _by_kernel(files: Sequence[KernelFile]) -> dict[str, list[KernelFile]]:
    """The files of each kernel, the most recently used first."""
    kernels: dict[str, list[KernelFile]] = {}
    for file in files:
        kernels.setdefault(file.kernel, []).append(file)
    return kernels


def _table(files: Sequence[KernelFile]) -> list[str]:
    """A line for each kernel."""
    kernels = _by_kernel(files)
    width = max(map(len, kernels), default=0)
    return [
        f"{kernel:<{width}}  {_amount(of):>18}  last used {_when(of[0].used)}"
        for kernel, of in kernels.items()
    ]


def _kernels(files: Sequence[KernelFile]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {"kernel": kernel, **_sizes(of),
         "last_used": datetime.fromtimestamp(of[0].used, UTC).isoformat(timespec="seconds")}
        for kernel, of in _by_kernel(files).items()
    ]  # fmt: skip


def _sizes(files: Sequence[KernelFile]) -> dict[str, int]:
    return {"files": len(files), "bytes": sum(file.size for file in files)}


def _amount(files: Sequence[KernelFile]) -> str:
    size = _sizes(files)["bytes"] / kernel_files.MEGABYTE
    return f"{len(files)} file{'' if len(files) == 1 else 's'}, {size:.1f} MB"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
