"""What hardware a bench asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HardwareRequest:
    """What to run on, as requested."""

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    devices: int = 1

    def check(self) -> None:
        """Raise HarnessError where this computer is no such machine."""
        from harness.hardware.hardware import check_names, choose_hardware

        check_names(self.device, self.precision)
        if self.device.startswith("cuda") or self.devices > 1:
            choose_hardware(self.device, self.precision, devices=self.devices)
