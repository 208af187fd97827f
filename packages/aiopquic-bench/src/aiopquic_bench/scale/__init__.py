"""Very many connections at once: a server, and clients whose connections share a socket."""
