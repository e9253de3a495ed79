"""Try the distribution: its README has no link that leads nowhere, and the demo collects with it.

The wheel is installed with the demo's dependencies in an empty environment, and a copy of the
example project, away from this checkout, runs collectstatic.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)[^)]*\)")


def main() -> None:
    """Exit with a message where something is wrong."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    check_readme(wheel)
    with tempfile.TemporaryDirectory(prefix="wheel-") as scratch:
        print(collect(wheel, Path(scratch)))


def check_readme(wheel: Path) -> None:
    """PyPI shows the README away from the files that it links to."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        links = RELATIVE_LINK.findall(archive.read(name).decode())
    if links:
        sys.exit(f"{wheel.name}: relative links in its description: {', '.join(links)}")


def collect(wheel: Path, scratch: Path) -> str:
    """Install the wheel, run the demo's collectstatic, and return its summary."""
    venv.create(scratch / "venv", with_pip=True)
    python = str(scratch / "venv" / "bin" / "python")
    quietly = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *quietly, f"{wheel}[demo]"], check=True)
    project = shutil.copytree(ROOT / "example_project", scratch / "project")
    completed = subprocess.run(
        [python, "manage.py", "collectstatic", "--noinput"],
        cwd=project,
        env={"BUILD_VERSION": "wheel", "DEMO_STATIC_ROOT": str(scratch / "static")},
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        sys.exit(f"collectstatic failed with the wheel:\n{completed.stdout}{completed.stderr}")
    if not (scratch / "static" / "wheel" / "staticfiles.json").exists():
        sys.exit("collectstatic left no manifest")
    return completed.stderr.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
