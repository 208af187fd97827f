"""What libaiopquic.so is linked from, as constants; an empty string where the build does not know.

``..._SHA`` is the upstream commit; ``..._DESCRIBE`` adds, behind a plus sign, the digest of the patches on it.
"""

from __future__ import annotations

from aiopquic._binding._engine import native_versions

_native = native_versions()
# The build id is: picoquic REVISION picotls REVISION OPTION,OPTION...
_words = _native["build_id"].split()
_revisions = dict(zip(_words[:4:2], _words[1:4:2], strict=True))

PICOQUIC_VERSION: str = _native["picoquic"]
PICOQUIC_DESCRIBE: str = _revisions.get("picoquic", "")
PICOQUIC_SHA: str = PICOQUIC_DESCRIBE.partition("+")[0]
PICOQUIC_DATE: str = ""
PICOQUIC_SUBJECT: str = ""
PICOQUIC_BRANCH: str = ""

PICOTLS_VERSION: str = ""
PICOTLS_DESCRIBE: str = _revisions.get("picotls", "")
PICOTLS_SHA: str = PICOTLS_DESCRIBE.partition("+")[0]
PICOTLS_DATE: str = ""
PICOTLS_SUBJECT: str = ""
PICOTLS_BRANCH: str = ""
