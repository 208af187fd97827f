import sys
from pathlib import Path

CI = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CI), str(CI.parent / "third_party")]
