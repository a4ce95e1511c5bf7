"""Code in LLVM's language: what Numba can do, done in less time, and some things that it cannot.

Each function here is the ``code`` of a kernel that is marked ``native`` (:func:`rnnsim.kernels.native`),
in the form of ``numba.extending.intrinsic``: it takes Numba's types of the arguments, and gives a
signature and a function that makes the code. The kernel's own body says in Python what the code does.
Sizes are not checked, and arrays are contiguous: the kernels that call these know both.

These modules import Numba's compiler; nothing else imports them before something is compiled.
"""
