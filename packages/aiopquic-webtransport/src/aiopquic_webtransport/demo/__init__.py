"""A shared page: cursors over datagrams, a chat over streams. ``python -m aiopquic_webtransport.demo`` serves it."""
