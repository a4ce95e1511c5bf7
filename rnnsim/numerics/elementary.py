"""tanh, the logistic function and softplus with their slopes, without branches or tables.

The C library's tanh is a call per number and takes 20 ns; these are a few multiplications, which the
compiler vectorises. All use the range reduction of [Cody & Waite 1980]: y = k ln 2 + r with an integer k
and |r| <= ln 2 / 2, so that

    exp(y) - 1 = 2^k (exp(r) - 1) + (2^k - 1),      exp(r) - 1 = r (1 + r Q(r))

where ln 2 is split into two parts such that k times the first is exact, and Q is a polynomial,
interpolated at the Chebyshev nodes, with an error below half a unit in the last place. (A kernel that
``reassociates`` would merge the two parts of ln 2.)

Values are within 2.5 units in the last place over the whole range, and slopes within 5
(tests/numerics/test_elementary.py); nan stays nan, and zero keeps its sign in tanh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.typing import Kernel, Number

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10

LOG2_E_32 = np.float32(LOG2_E)
LN2_HIGH_32, LN2_LOW_32 = np.float32(0.693115234375), np.float32(3.194618329871446e-05)

ONE, TWO, FOUR, HALF = np.float32(1), np.float32(2), np.float32(4), np.float32(0.5)
Q0, Q1, Q2, Q3, Q4, Q5 = (
    np.float32(c)
    for c in (0.5, 0.1666666668, 0.04166645681, 0.008333310024, 0.001393454193, 0.0001989198131)
)
A0, A1, A2, A3 = (np.float32(c) for c in (0.3333332017, 0.2000378032, 0.141183099, 0.1342574901))
SATURATED_32 = np.float32(80)  # tanh is 1 where 2 |v| is larger
UNDERFLOW_32 = np.float32(104)  # exp is 0 below minus this


# --- float64 ----------------------------------------------------------------------------------------


@kernel(allocates=False)
def power_of_two(k: Number) -> Number:
    """2^k for an integer k, where 2^k is a normal number."""
    bits = (np.int64(np.int32(k)) + 1023) << np.int64(52)
    return np.int64(bits).view(np.float64)


@kernel(allocates=False)
def reduced(y: Number) -> tuple[Number, Number]:
    """k and exp(r) - 1; Q by Horner's rule in r^2, which halves the chain of dependent operations."""
    k = np.rint(y * LOG2_E) if y == y else 0.0
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    s = r * r
    q = 2.0915442297780115216e-9
    q = (2.7557271810219799569e-7 + r * 2.5106274733573294687e-8) + s * q
    q = (0.000024801587327007186731 + r * 2.7557252833516909748e-6) + s * q
    q = (0.0013888888888883326674 + r * 0.00019841269876864354929) + s * q
    q = (0.041666666666666670074 + r * 0.0083333333333255446996) + s * q
    q = (0.5 + r * 0.16666666666666671438) + s * q
    return k, r * (1.0 + r * q)


@kernel(allocates=False)
def exp_of_negative(y: Number) -> Number:
    """exp(y) for y <= 0; 2^k in two factors, because it may be subnormal."""
    k, m = reduced(-746.0 if y < -746.0 else y)
    half = np.rint(0.5 * k)
    return ((1.0 + m) * power_of_two(half)) * power_of_two(k - half)


@kernel(allocates=False)
def tanh(v: Number) -> tuple[Number, Number]:
    """E / (E + 2) with E = exp(2 |v|) - 1, and the slope 4 (E + 1) / (E + 2)^2."""
    y = 2.0 * abs(v)
    k, m = reduced(700.0 if y > 700.0 else y)
    s = power_of_two(k)
    E = s * m + (s - 1.0)
    inverse = 1.0 / (E + 2.0)
    return np.copysign(E * inverse, v), 4.0 * ((E + 1.0) * inverse) * inverse


@kernel(allocates=False)
def logistic(v: Number) -> tuple[Number, Number]:
    """1 / (1 + e) or e / (1 + e) with e = exp(-|v|), which never overflows; the slope e / (1 + e)^2."""
    e = exp_of_negative(-abs(v))
    inverse = 1.0 / (1.0 + e)
    return (inverse if v >= 0 else e * inverse), (e * inverse) * inverse


@kernel(allocates=False)
def softplus(v: Number) -> tuple[Number, Number]:
    """max(v, 0) + log(1 + e), log(1 + e) = 2 artanh(z) with z = e / (2 + e); slope logistic(v)."""
    e = exp_of_negative(-abs(v))
    z = e / (2.0 + e)
    w = z * z
    a = 0.0808202280597176611
    a = 0.04400369243072336941 + w * a
    a = 0.06000536404795356268 + w * a
    a = 0.06657072104827468075 + w * a
    a = 0.07692785032479311552 + w * a
    a = 0.09090894718066429085 + w * a
    a = 0.1111111135871393149 + w * a
    a = 0.1428571428355437858 + w * a
    a = 0.2000000000000729134 + w * a
    a = 0.3333333333333332928 + w * a
    log = 2.0 * (z + z * (w * a))
    inverse = 1.0 / (1.0 + e)
    return (v + log if v > 0 else log), (inverse if v >= 0 else e * inverse)


# --- float32: the same with shorter polynomials --------------------------------------------------------


@kernel(allocates=False)
def power_of_two_32(k: Number) -> Number:
    """2^k for an integer k, where 2^k is a normal number."""
    bits = (np.int32(k) + np.int32(127)) << np.int32(23)
    return np.int32(bits).view(np.float32)


@kernel(allocates=False)
def reduced_32(y: Number) -> tuple[Number, Number]:
    """k and exp(r) - 1."""
    k = np.rint(y * LOG2_E_32) if y == y else np.float32(0)
    r = (y - k * LN2_HIGH_32) - k * LN2_LOW_32
    s = r * r
    q = Q0 + r * (Q1 + r * ((Q2 + r * Q3) + s * (Q4 + r * Q5)))
    return k, r * (ONE + r * q)


@kernel(allocates=False)
def exp_of_negative_32(y: Number) -> Number:
    """The same as :func:`exp_of_negative`."""
    k, m = reduced_32(-UNDERFLOW_32 if y < -UNDERFLOW_32 else y)
    half = np.rint(HALF * k)
    return ((ONE + m) * power_of_two_32(half)) * power_of_two_32(k - half)


@kernel(allocates=False)
def tanh_32(v: Number) -> tuple[Number, Number]:
    """The same as :func:`tanh`."""
    y = TWO * abs(v)
    k, m = reduced_32(SATURATED_32 if y > SATURATED_32 else y)
    s = power_of_two_32(k)
    E = s * m + (s - ONE)
    inverse = ONE / (E + TWO)
    return np.copysign(E * inverse, v), FOUR * ((E + ONE) * inverse) * inverse


@kernel(allocates=False)
def logistic_32(v: Number) -> tuple[Number, Number]:
    """The same as :func:`logistic`."""
    e = exp_of_negative_32(-abs(v))
    inverse = ONE / (ONE + e)
    return (inverse if v >= 0 else e * inverse), (e * inverse) * inverse


@kernel(allocates=False)
def softplus_32(v: Number) -> tuple[Number, Number]:
    """The same as :func:`softplus`."""
    e = exp_of_negative_32(-abs(v))
    z = e / (TWO + e)
    w = z * z
    log = TWO * (z + z * (w * (A0 + w * (A1 + w * (A2 + w * A3)))))
    inverse = ONE / (ONE + e)
    return (v + log if v > 0 else log), (inverse if v >= 0 else e * inverse)


class Elementary(NamedTuple):
    """The functions for one dtype: each takes a number and returns its value and slope."""

    tanh: Kernel
    logistic: Kernel
    softplus: Kernel


ELEMENTARY = {
    "float64": Elementary(tanh, logistic, softplus),
    "float32": Elementary(tanh_32, logistic_32, softplus_32),
}
