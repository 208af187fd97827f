"""What every test has: a certificate, and the check that nothing stays alive."""

from aiopquic.testing.fixtures import (  # noqa: F401 - fixtures and a hook
    pytest_runtest_makereport,
    quic_certificate,
    quic_leak_check,
    quic_loop_errors,
)
