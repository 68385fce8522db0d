"""The package imports whatever else is installed."""

import os
import subprocess
import sys
from pathlib import Path

from ..conftest import ROOT


def test_it_imports_beside_pycocotools(tmp_path: Path) -> None:
    """MMPretrain then imports models that transformers 5 breaks."""
    package = tmp_path / "pycocotools"
    package.mkdir()
    for module in ("__init__", "coco", "cocoeval", "mask"):
        (package / f"{module}.py").write_text("class COCO: ...\nclass COCOeval: ...\n")
    about = tmp_path / "pycocotools-2.0.11.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pycocotools\nVersion: 2.0.11\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    code = (
        "import mmpretrain.utils.dependency as before; assert before.WITH_MULTIMODAL\n"
        "import internvl_seg, mmpretrain.models, mmpretrain.datasets"
    )
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
