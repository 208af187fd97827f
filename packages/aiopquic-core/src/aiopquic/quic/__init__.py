"""QUIC connections, configurations and events, without asyncio."""
