"""All fixed points of a network that are found from many starts, with the linear dynamics at each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import Network, check_is_network
from rnnsim.numerics.fixed_points import TOLERANCE
from rnnsim.numerics.multistart import Multistart, merged
from rnnsim.numerics.threads import one_numpy_thread, shared_work
from rnnsim.runs import fixed_point_figures, html_tables
from rnnsim.runs.plain_data import plain
from rnnsim.runs.seeds import table
from rnnsim.typing import Array, Integers, Params

DISTANCE = {"float64": 1e-3, "float32": 1e-2}
SHOWN = 30  # points of a summary
FIGURE = (560, 460)  # pixels in a notebook


@dataclass(frozen=True)
class FixedPoints:
    """The K fixed points x = F(x) that were found from S starts, F being one step of a network.

    They are in the order of their numbers of unstable directions; those with as many, by how many
    starts led to them, the most first; then by their states.

    Attributes
    ----------
    states : (K, n) array
    eigenvalues : (K, n) complex array
        Of dF/dx at each, those of the largest modulus first. F is a step in discrete time: with a leak
        alpha they are ``1 - alpha + alpha mu``, mu being those of D W.
    unstable : (K,) int array
        The number of unstable directions: of eigenvalues whose modulus exceeds 1 by more than a rounding
        error (the square root of the dtype's relative one, 1.5e-8 or 3.5e-4).
    starts : (K,) int array
        How many starts led to each.
    residuals : (K,) array
        max |F(x) - x| / alpha at each.
    jacobians : (K, n, n) array
        dF/dx at each.
    not_converged : int
        The number of starts that led to no fixed point.
    inputs : (m,) array
        The input that is held fixed.
    """

    states: Array = field(repr=False)
    eigenvalues: Array = field(repr=False)
    unstable: Integers
    starts: Integers = field(repr=False)
    residuals: Array = field(repr=False)
    jacobians: Array = field(repr=False)
    not_converged: int
    inputs: Array = field(repr=False)

    def __len__(self) -> int:
        """K."""
        return len(self.states)

    @property
    def title(self) -> str:
        """How many there are, and from how many starts, in a line."""
        points = f"{len(self):,} fixed point{'' if len(self) == 1 else 's'}"
        all_starts = int(self.starts.sum()) + self.not_converged
        rest = f"; {self.not_converged:,} did not converge" if self.not_converged else ""
        return f"{points} from {all_starts:,} start{'' if all_starts == 1 else 's'}{rest}"

    def summary(self) -> str:
        """Format the result: how many there are by their unstable directions, and the first of them."""
        if not len(self):
            return self.title
        rows = [
            (str(k + 1), {
                "unstable": str(self.unstable[k]),
                "starts": f"{self.starts[k]:,}",
                "largest |lambda|": f"{abs(self.eigenvalues[k, 0]):.4g}",
                "residual": f"{self.residuals[k]:.1e}",
            })
            for k in range(min(len(self), SHOWN))
        ]  # fmt: skip
        parts = [self.title, table(self._by_dimension(), "unstable directions"), table(rows, "point")]
        if len(self) > SHOWN:
            parts.append(f"and {len(self) - SHOWN:,} more")
        return "\n\n".join(parts)

    def _by_dimension(self) -> list[tuple[str, dict[str, str]]]:
        """The rows of a table: how many points have as many unstable directions, and their starts."""
        return [
            (str(dimension), {
                "points": f"{np.count_nonzero(self.unstable == dimension):,}",
                "starts": f"{self.starts[self.unstable == dimension].sum():,}",
            })
            for dimension in np.unique(self.unstable)
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        """What a notebook shows: how many there are by their unstable directions, and the figure."""
        if not len(self):
            return html_tables.pairs([("fixed points", self.title)])
        counts = html_tables.grid(self.title, self._by_dimension(), "unstable directions")
        return counts + html_tables.picture(self.plot, "fixed points", FIGURE)

    def as_dict(self) -> dict[str, Any]:
        """The result in lists and numbers.

        Returns
        -------
        dict
            The attributes of this class by name; ``eigenvalues`` has ``real`` and ``imag``.
        """
        found = dict(vars(self))
        found["eigenvalues"] = {"real": self.eigenvalues.real, "imag": self.eigenvalues.imag}
        return {name: plain(value) for name, value in found.items()}

    def plot(self, path: str | Path | None = None, trajectory: Array | None = None) -> Any:
        """Draw the fixed points in the plane of two principal components; save it if a path is given.

        Stable ones are filled. Of those with one unstable direction, a short line shows it.

        Parameters
        ----------
        path : path, optional
            The file, which ends in ``.png``, ``.svg`` or ``.pdf``.
        trajectory : (T, B, n) or (T, n) array, optional
            States that are drawn as thin lines behind the points, such as those of
            :func:`rnnsim.simulate`. The components are then those of the states, else of the points.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        RnnsimError
            If there is no fixed point, matplotlib is not installed, the trajectory has another number of
            units, or the file cannot be written.
        """
        if not len(self):
            raise RnnsimError("there is no fixed point to draw: no start converged to one")
        if trajectory is not None:
            given = checks.over_time("the trajectory", trajectory, self.states.shape[1], np.float64)
            trajectory = checks.finite("the trajectory", given)
        return fixed_point_figures.draw(self.states, self.unstable, self.jacobians, trajectory, path)


@reports_memory
def fixed_points(
    network: Network,
    params: Params,
    starts: Array,
    *,
    inputs: Array | None = None,
    noise: float = 0.0,
    seed: int = 0,
    distance: float | None = None,
    tolerance: float | None = None,
    max_steps: int = 1000,
) -> FixedPoints:
    """Find fixed points of a network, stable and unstable, from many starts, with its input held fixed.

    From each start, Levenberg and Marquardt's method minimises ``|F(x) - x|^2``, F being one step of the
    network [SB13]. A start that leads to no fixed point is left out and counted: it led to a slow point,
    a local minimum that is not zero, or the steps were too few. What is found depends on the starts:
    more of them, or other ones, may find more.

    Parameters
    ----------
    network : Network
        A recurrent network, a GRU, or one of your own with the kernel ``jacobian``, whose outputs read
        the state after the step. A fast-weight network has no steady states.
    params : NamedTuple of arrays
    starts : (S, n) array, or (T, B, n)
        States from which to search, such as those of a trajectory: ``simulate(...).states``.
    inputs : (m,) array, optional
        The input that is held fixed, the same for all starts; zero by default.
    noise : float
        Standard deviation of normal noise that is added to each number of the starts. States of a
        trajectory lead to what they pass by; noise as large as they are leads to saddles in between.
    seed : int
        Seed of the noise.
    distance : float, optional
        Fixed points within this Euclidean distance are one; 1e-3 by default, 1e-2 in single precision. A
        continuum of fixed points (a line attractor) is so covered by points that are further apart than
        this, each with an eigenvalue of modulus 1.
    tolerance : float, optional
        The largest residual ``max |F(x) - x| / alpha``, relative to ``max(1, max |x|)``; 1e-12 by
        default, 1e-5 in single precision. (alpha is 1 in networks without a leak.) Besides, the linear
        dynamics at a fixed point have their own within the default distance, relative to
        ``max(1, |x|)``: a residual may also vanish because nothing moves, as where gates are closed.
    max_steps : int
        The largest number of steps of the method from one start.

    Returns
    -------
    FixedPoints
        ``states`` (K, n), ``eigenvalues`` (K, n), ``unstable`` (K,), ``starts`` (K,) and more. Without
        noise, the order of the starts makes no difference.

    Raises
    ------
    RnnsimError
        If an argument has a wrong shape, type or value, or the network has no steady states or no
        Jacobian.

    References
    ----------
    .. [SB13] D. Sussillo, O. Barak, *Opening the black box: low-dimensional dynamics in high-dimensional
       recurrent neural networks*, Neural Computation 25(3):626-649, 2013.

    Examples
    --------
    One unit, x = tanh(2 x):

    >>> import numpy as np, rnnsim
    >>> net = rnnsim.RecurrentNetwork(n_in=1, n_hidden=1, n_out=1)
    >>> params = net.init()._replace(W=np.array([[2.0]]))
    >>> found = rnnsim.fixed_points(net, params, starts=np.linspace(-1, 1, 21)[:, None])
    >>> found.states.round(4).ravel().tolist(), found.unstable.tolist()
    ([-0.9575, 0.9575, 0.0], [0, 0, 1])
    """
    if check_is_network(network).reads == "entering":
        raise RnnsimError(f"a {network.kind} network has no steady states; a recurrent network is one "
                          "that has")  # fmt: skip
    if network.jacobian is None:
        raise RnnsimError(f"a {network.kind} network has no kernel jacobian; the search needs it")
    dtype = network.dtype
    begins = _starts(network, starts, noise, seed)
    u = checks.numbers("inputs", np.zeros(network.n_in) if inputs is None else inputs, dtype)
    if u.shape != (network.n_in,):
        raise RnnsimError(f"inputs has shape {u.shape}; expected {(network.n_in,)}: one, held fixed")
    tolerance = TOLERANCE[dtype.name] if tolerance is None else tolerance
    near = DISTANCE[dtype.name]
    distance = near if distance is None else checks.real("distance", distance, at_least=0)
    search = Multistart(
        network, network.kernel_params(network.pack(params)), checks.finite("inputs", u),
        checks.real("tolerance", tolerance, above=0),
        checks.whole("max_steps", max_steps, 1, checks.LARGEST),
    )  # fmt: skip
    with shared_work(), one_numpy_thread():
        reached = search.reached_from(begins)
        states, residuals = reached.states[reached.steady], reached.residuals[reached.steady]
        chosen, counts = merged(states, residuals, distance)
        r, jacobians = search.linear_dynamics(states[chosen])
        is_one = search.is_near(states[chosen], r, jacobians, near)
        chosen, counts, jacobians = chosen[is_one], counts[is_one], jacobians[is_one]
        eigenvalues = np.linalg.eigvals(jacobians.astype(np.float64)).astype(np.complex128)
    return _in_order(
        states=states[chosen],
        eigenvalues=eigenvalues,
        starts=counts,
        residuals=residuals[chosen],
        jacobians=jacobians,
        not_converged=len(begins) - int(counts.sum()),
        inputs=u.copy(),
    )


def _starts(network: Network, starts: Array, noise: float, seed: int) -> Array:
    """Check the starts, and add noise to them: (S, n)."""
    n, dtype = network.n_state, network.dtype
    noise = checks.real("noise", noise, at_least=0)
    rng = np.random.default_rng(checks.whole("seed", seed, 0))
    given = checks.numbers("starts", starts, dtype)
    if given.ndim < 2 or given.shape[-1] != n or not given.size:
        raise RnnsimError(f"starts has shape {given.shape}; expected (S, {n}) or (T, B, {n})")
    flat = np.array(checks.finite("starts", given).reshape(-1, n), order="C")
    if noise:
        with np.errstate(over="ignore"):  # looked at below
            flat += rng.normal(0, noise, flat.shape).astype(dtype)
    return checks.finite("starts", flat)


def _in_order(**found: Any) -> FixedPoints:
    """The result, with its points and the eigenvalues of each in their order."""
    eigenvalues, size = found["eigenvalues"], np.abs(found["eigenvalues"])
    order = np.lexsort((-eigenvalues.imag, -eigenvalues.real, -size), axis=1)
    margin = np.sqrt(np.finfo(found["jacobians"].dtype).eps)
    found["eigenvalues"] = np.take_along_axis(eigenvalues, order, axis=1)
    found["unstable"] = np.count_nonzero(size > 1 + margin, axis=1)
    points = np.lexsort((*found["states"].T[::-1], -found["starts"], found["unstable"]))
    for name in ("states", "eigenvalues", "unstable", "starts", "residuals", "jacobians"):
        found[name] = found[name][points]
    return FixedPoints(**found)
