"""The bridge to the C engine: compiled modules only. Private to aiopquic."""
