"""From a plan to a record: what is to be done, in which order, and what became of it.

People call this package, too: ``harness.bench(["rfs"], "glyphs")`` is ``harness.run_bench``. A function of that name
could not stand beside a package of that name, since Python puts the package into its place once it is imported.
"""

import sys
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return sys.modules["harness"].run_bench(*arguments, **named)


sys.modules[__name__].__class__ = _Called
