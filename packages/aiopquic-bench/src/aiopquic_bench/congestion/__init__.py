"""Congestion control over simulated links: satellites, Wi-Fi that fades, flows that compete."""
