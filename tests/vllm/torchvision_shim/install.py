"""Put the shim into the environment whose Python runs this file: ``VENV/bin/python install.py``."""

import shutil
import sysconfig
from pathlib import Path

MODULE = "lens_ray_torchvision_shim"

if __name__ == "__main__":
    target = Path(sysconfig.get_paths()["purelib"])
    shutil.copy(Path(__file__).with_name(f"{MODULE}.py"), target)
    (target / f"{MODULE}.pth").write_text(f"import {MODULE}\n")
    print(f"{MODULE} is in {target}")
