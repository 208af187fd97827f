"""A connection's figures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ConnectionStats"]

_MICROSECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """A snapshot, taken by the network thread. Times are in seconds, sizes in bytes, rates in bytes per second."""

    smoothed_rtt: float
    "Round-trip time, smoothed (RFC 9002 section 5.3)."
    latest_rtt: float
    min_rtt: float
    max_rtt: float
    rtt_variation: float
    congestion_window: int
    bytes_in_flight: int
    pacing_rate: int
    "What the congestion controller lets out."
    receive_rate: int
    "What the peer is estimated to receive."
    packets_sent: int
    packets_lost: int
    "Declared lost and sent again, those that turned out to have arrived among them."
    spurious_losses: int
    "Packets that were declared lost and then acknowledged."
    bytes_sent: int
    "UDP payload."
    bytes_received: int
    "UDP payload."
    stream_bytes_sent: int
    "Application bytes in STREAM frames, without those sent again."
    stream_bytes_received: int
    ecn_received: int
    "Packets of the peer's that came with an ECN mark of any kind (RFC 9000 section 13.4)."
    ecn_ce_received: int
    "Those among them that the network has marked: it is congested."
    ecn_ce_reported: int
    "Packets of ours of which the peer says so."
    datagrams_sent: int
    datagrams_received: int
    datagrams_dropped: int
    "Received, and dropped because nobody took those before in time."
    datagrams_acked: int
    datagrams_lost: int
    datagrams_spurious: int
    "Declared lost and then acknowledged."

    @classmethod
    def of(cls, snapshot: dict[str, int], datagrams: dict[str, int]) -> ConnectionStats:
        """From the bridge's names and units."""
        return cls(
            smoothed_rtt=snapshot["rtt"] * _MICROSECONDS,
            latest_rtt=snapshot["rtt_sample"] * _MICROSECONDS,
            min_rtt=snapshot["rtt_min"] * _MICROSECONDS,
            max_rtt=snapshot["rtt_max"] * _MICROSECONDS,
            rtt_variation=snapshot["rtt_variant"] * _MICROSECONDS,
            congestion_window=snapshot["cwin"],
            bytes_in_flight=snapshot["bytes_in_transit"],
            pacing_rate=snapshot["pacing_rate"],
            receive_rate=snapshot["receive_rate_estimate"],
            packets_sent=snapshot["sent"],
            packets_lost=snapshot["lost"],
            spurious_losses=snapshot["spurious_losses"],
            bytes_sent=snapshot["bytes_sent"],
            bytes_received=snapshot["bytes_received"],
            stream_bytes_sent=snapshot["stream_bytes_sent"],
            stream_bytes_received=snapshot["stream_bytes_received"],
            ecn_received=sum(snapshot[f"ecn_{mark}_received"] for mark in ("ect0", "ect1", "ce")),
            ecn_ce_received=snapshot["ecn_ce_received"],
            ecn_ce_reported=snapshot["ecn_ce_reported"],
            datagrams_sent=datagrams["sent"],
            datagrams_received=datagrams["received"],
            datagrams_dropped=datagrams["dropped_received"],
            datagrams_acked=datagrams["acked"],
            datagrams_lost=datagrams["lost"],
            datagrams_spurious=datagrams["spurious"],
        )
