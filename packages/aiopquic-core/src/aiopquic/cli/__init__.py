"""The command line's own parts: a small file protocol over QUIC, its server and client, and the commands."""
