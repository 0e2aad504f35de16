"""Programs for Node.js that need packages of npm's."""

import shutil
import subprocess
from pathlib import Path

from api.tests.support.needs import need


def install(source: Path, directory: Path) -> Path:
    """Copy a program with its `package.json`, and install its packages beside the copy."""
    need(shutil.which("npm") and shutil.which("node"), "npm")
    shutil.copytree(source, directory, dirs_exist_ok=True)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300)
    return directory
