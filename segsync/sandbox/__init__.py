"""Both APIs on 127.0.0.1, for a first try, the tests and the benchmarks.

Strict where the vendors are strict, slow where they are slow, broken on demand; and it can tell what it
received against what it should have. The customers that it expects are written down beside each shape of
profile in `profiles`, not computed by `segsync.mapping`: a mistake there cannot hide here.
"""

from __future__ import annotations

from segsync.sandbox.options import SandboxOptions

__all__ = ["SandboxOptions"]
