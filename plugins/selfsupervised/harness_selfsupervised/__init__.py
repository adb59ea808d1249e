"""Methods that learn from themselves: SimCLR and DoGo without labels, DDGSD and BYOT by distilling what they know.

A file a method, to be read beside its paper. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Iterable

import harness
from harness_selfsupervised.byot import BYOT
from harness_selfsupervised.ddgsd import DDGSD
from harness_selfsupervised.dogo import DOGO
from harness_selfsupervised.simclr import SIMCLR


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [SIMCLR, DOGO, DDGSD, BYOT]
