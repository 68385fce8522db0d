"""Every config in the folder ``configs``."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py") if "_base_" not in path.parts)
# Those of the official recipe: not CamVid's and the demo's, which are for a CPU, nor LoRA.
OFFICIAL = [name for name in CONFIGS if "504x504" in name and "_lora_" not in name]
