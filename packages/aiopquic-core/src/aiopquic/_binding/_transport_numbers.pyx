# cython: language_level=3
"""The numbers of the low-level API: events, commands, key exchange groups."""

# What drain_rx() tells, by the names that programs know.
EVT_STREAM_DATA = 0
EVT_STREAM_FIN = 1
EVT_STREAM_RESET = 2
EVT_STOP_SENDING = 3
EVT_CLOSE = 4
EVT_APP_CLOSE = 5
EVT_READY = 6
EVT_ALMOST_READY = 7
EVT_DATAGRAM = 8
EVT_DATAGRAM_ACKED = 9
EVT_DATAGRAM_LOST = 10
EVT_STREAM_TX_DRAINED = 15
EVT_STREAM_DESTROY = 17
EVT_DATAGRAM_TX_DRAINED = 19

# What push_tx_event() takes.
TX_STREAM_DATA = 128
TX_STREAM_FIN = 129
TX_CLOSE = 131
TX_STREAM_RESET = 132
TX_STOP_SENDING = 133

# Groups for the key exchange, by their numbers in IANA's registry (RFC 8446 section 4.2.7).
KEX_X25519 = 29
KEX_SECP256R1 = 23
KEX_X25519MLKEM768 = 4588
KEX_SECP256R1MLKEM768 = 4587
KEX_MLKEM1024 = 514

# The order of an engine, as far as the OpenSSL that is loaded has them.
DEFAULT_KEY_EXCHANGE_GROUPS = (KEX_X25519, KEX_SECP256R1, KEX_X25519MLKEM768, KEX_SECP256R1MLKEM768, KEX_MLKEM1024)
