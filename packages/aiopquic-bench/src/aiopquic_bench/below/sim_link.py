"""picoquic over its own simulated link, both ends in one thread of C: what the protocol costs by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiopquic.testing.certificates import CERTIFICATE_FILE, KEY_FILE
from aiopquic_bench.below.native import PATIENCE, answer_of, native_words, started
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import warm_up_of
from aiopquic_bench.problems import UsageProblem

__all__ = ["DEFAULT_DELAY_MS", "DEFAULT_RATE", "SimLink"]

#: Gbit/s and one-way milliseconds of a link that never holds anything up.
DEFAULT_RATE = 100.0
DEFAULT_DELAY_MS = 0.05

MAX_DELAY_MS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimLink:
    """One measurement, and its link in both directions."""

    congestion_control: str
    duration: float = 3.0
    "Seconds of real time that are measured."
    rate_gbps: float = DEFAULT_RATE
    delay_ms: float = DEFAULT_DELAY_MS
    "One way."
    loss: float = 0.0
    "Per cent of the packets, by chance."
    seed: int = 1
    "Of that chance."
    spoil: int = 0
    "For tests: a bit of this byte of the stream, from 1 on, is wrong."

    def check(self) -> None:
        """Raises UsageProblem for a link that can't be."""
        if not 0 < self.rate_gbps <= 1000:
            raise UsageProblem(f"a link has a rate above 0 and up to 1000 Gbit/s, not {self.rate_gbps:g}")
        if not 0 <= self.delay_ms <= MAX_DELAY_MS:
            raise UsageProblem(f"a link delays by 0 to {MAX_DELAY_MS:g} ms, not {self.delay_ms:g}")
        if not 0 <= self.loss < 100:
            raise UsageProblem(f"a link loses 0 to less than 100 per cent, not {self.loss:g}")
        if not 0 <= self.seed < 1 << 64:
            raise UsageProblem(f"a seed is a number of 64 bits, not {self.seed}")

    def measure(self, certificates: str) -> Figures:
        """Send one stream for the duration, and compare each of its bytes.

        Raises:
            Problem: a byte was wrong, or the link was too bad for a connection.
        """
        warm_up = warm_up_of(self.duration)
        words = native_words(
            "sim-link",
            certificate=Path(certificates) / CERTIFICATE_FILE,
            key=Path(certificates) / KEY_FILE,
            cc=self.congestion_control,
            rate_gbps=self.rate_gbps,
            delay_us=round(self.delay_ms * 1e3),
            loss=self.loss / 100,
            seed=self.seed,
            spoil=self.spoil,
            duration_s=self.duration,
            warm_up_s=warm_up,
            patience_s=PATIENCE,
        )
        with started(words) as process:
            # The handshake, the measurement and the end of the stream each have that patience.
            answer = answer_of(process, "the simulated link", warm_up + self.duration + 4 * PATIENCE)
        return {
            "mbit_per_s": answer["bytes"] * 8e-6 / answer["seconds"],
            "cpu_s_per_gb": answer["cpu_seconds"] / (answer["bytes"] / 1e9),
            "virtual_mbit_per_s": answer["bytes"] * 8e-6 / answer["virtual_seconds"],
            "lost_percent": 100 * answer["lost"] / answer["all_packets"],
        }
