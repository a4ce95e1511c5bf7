"""Functions that emit LLVM IR: what Numba compiles to slower code, or cannot express at all.

Each function here is the ``code`` of a kernel that is marked ``native`` (:func:`rnnsim.kernels.native`),
in the form of ``numba.extending.intrinsic``: it takes the Numba types of the arguments and returns a
signature and a function that emits the code. The kernel's own body is the same in Python. Sizes are not
checked, and arrays must be contiguous: the kernels that call these ensure both.

These modules import Numba's compiler; nothing else imports them before something is compiled.
"""
