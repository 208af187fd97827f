"""For tests and for development: certificates, a pair of endpoints, the leak check. aiopquic itself needs none of it.

The fixtures for pytest are in ``aiopquic.testing.fixtures``, which is imported on its own.
"""

from aiopquic.testing.certificates import DevAuthority, DevCertificate, dev_authority, dev_certificate
from aiopquic.testing.leaks import LeakCheck, assert_no_leaks

__all__ = ["DevAuthority", "DevCertificate", "LeakCheck", "assert_no_leaks", "dev_authority", "dev_certificate"]
