"""What runs in the interpreters that are compared: this package's own, that of a peer, or of another revision.

It imports the standard library and, by the public names that all of them have, the library that is measured; nothing of
aiopquic-bench, which is not installed there. The processes that run it have it on their path as ``programs``.
"""
