"""Where the runs of a sweep are carried out: in this process, in others, on a cluster.

A place takes functions with arguments and gives futures, as :class:`concurrent.futures.Executor` does.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from rnnsim.errors import RnnsimError, shown
from rnnsim.runs.processes import Processes
from rnnsim.sweeps.working import differences, kind_of_machine, versions_here

NO_DASK = "a Dask cluster needs dask.distributed: pip install 'rnnsim[dask]'"


class Place:
    """Workers behind an executor; this one is any that a user has made.

    Parameters
    ----------
    executor : Executor
        Or anything with ``submit(function, *arguments)``, whose futures have ``done()`` and ``result()``
        at least, such as the executors of submitit.
    count : int
        How many calls it carries out at the same time.

    Attributes
    ----------
    is_here : bool
        Whether calls are carried out in this process, by whoever submits them.
    """

    is_here = False

    def __init__(self, executor: Any, count: int) -> None:
        self._executor, self._count = executor, count

    @property
    def workers(self) -> int:
        """How many calls are carried out at the same time."""
        return self._count

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._executor.submit(function, *arguments)

    def prepare(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a function once on each kind of machine."""
        return [self.submit(function, *arguments)]

    def is_lost(self, future: Any) -> bool:
        """Whether nobody is left who could carry out a call."""
        return False

    def refused(self, worker: str, why: str) -> None:
        """Give no more work to a worker that has other versions.

        Raises
        ------
        RnnsimError
            If it cannot be left out.
        """
        raise RnnsimError(f"worker {worker} has {why}; install there what is installed here")

    def close(self) -> None:
        """End what this place has begun: not an executor of the user's."""


class Here(Place):
    """This process: whoever submits a call carries it out."""

    is_here = True

    def __init__(self) -> None:
        super().__init__(None, 1)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


class OwnProcesses(Place):
    """Processes on this machine."""

    def __init__(self, count: int) -> None:
        super().__init__(Processes(count), count)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)


class Cluster(Place):
    """A Dask cluster: workers come and go; those with other versions are left out.

    Raises
    ------
    RnnsimError
        If Dask is not installed, the scheduler does not answer, or it has no worker that can be used.
    """

    def __init__(self, address: str) -> None:
        if not isinstance(address, str) or not address:
            raise RnnsimError(
                f"dask is the address of a scheduler, tcp://HOST:PORT, not {shown(address)}"
            )
        self._client = _connected(address)
        self._excluded: dict[str, str] = {}
        self._known: dict[str, tuple[str, str]] = {}  # of each worker its host and processor
        self._only: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # the workers of a call
        super().__init__(None, 0)
        if not self._usable():
            self.close()
            raise RnnsimError(self._why_none(address))

    def _usable(self) -> dict[str, int]:
        """The addresses of the workers that can be used, with the threads of each."""
        threads: dict[str, int] = self._client.nthreads()
        new = [address for address in threads if address not in {*self._known, *self._excluded}]
        if new:
            here = versions_here()
            for address, found in self._client.run(_introduced, workers=new, on_error="return").items():
                if isinstance(found, BaseException):  # such as one that does not find rnnsim
                    self._excluded[address] = f"{type(found).__name__}: {found}"
                elif differs := differences(found[0], here):
                    self._excluded[address] = differs
                else:
                    self._known[address] = found[1]
        return {address: count for address, count in threads.items() if address in self._known}

    def _why_none(self, address: str) -> str:
        if not self._excluded:
            return (
                f"the Dask scheduler at {address} has no workers; start some by `dask worker {address}`"
            )
        worker, why = next(iter(self._excluded.items()))
        return f"worker {worker} has {why}; install there what is installed here"

    @property
    def workers(self) -> int:
        return sum(self._usable().values()) or 1  # more may come

    @property
    def excluded(self) -> Mapping[str, str]:
        """The workers that are not used, and why."""
        return self._excluded

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._submit(list(self._usable()) if self._excluded else [], function, *arguments)

    def _submit(
        self, only: Collection[str], function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        where = {"workers": list(only), "allow_other_workers": False} if only else {}
        future: Future[Any] = self._client.get_executor(pure=False, **where).submit(function, *arguments)
        self._only[future] = set(only)
        return future

    def is_lost(self, future: Any) -> bool:
        only = self._only.get(future)
        return bool(only) and not only & self._client.nthreads().keys()

    def prepare(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a function once for each kind of processor, then once on each other host.

        Hosts that share a cache folder find there what the first has compiled.
        """
        first: dict[str, str] = {}
        for address in self._usable():
            first.setdefault(self._known[address][1], address)
        begun = [self._submit([address], function, *arguments) for address in first.values()]
        for future in begun:
            future.exception()  # waits; what is wrong shows in the runs
        hosts = {self._known[address][0] for address in first.values()}
        others: dict[str, str] = {}
        for address, (host, _) in self._known.items():
            if host not in hosts:
                others.setdefault(host, address)
        return begun + [self._submit([address], function, *arguments) for address in others.values()]

    def refused(self, worker: str, why: str) -> None:
        # if it has come since the last look, it is left out from now on
        if not self._usable() or not self._excluded:
            super().refused(worker, why)

    def close(self) -> None:
        self._client.close()


def _connected(address: str) -> Any:
    """A client of the scheduler at an address."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise RnnsimError(NO_DASK) from None
    why = ""
    try:
        return distributed.Client(address, timeout="10s", set_as_default=False)
    except Exception as error:  # noqa: BLE001 (of any of its ways to connect)
        why = str(error)
    # A client that failed closes itself when it is collected, which takes a lock: if that happens while
    # another client begins, in the same thread, both wait for ever.
    gc.collect()
    raise RnnsimError(f"no Dask scheduler answers at {shown(address)} ({why}); its address is "
                      "tcp://HOST:PORT, as it says when it begins")  # fmt: skip


def _introduced() -> tuple[dict[str, str], tuple[str, str]]:
    return versions_here(), kind_of_machine()
