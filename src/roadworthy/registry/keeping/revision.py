"""The revision of the code in a folder, as a release keeps it. It asks git, and never stops anybody's release."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# A repository may be so large, or so far away, that git does not answer in time.
SECONDS = 10.0


def revision(folder: Path) -> str:
    """`git:<sha>`, with `+changes` where files of the folder are not committed; "" outside git, or without it.

    What Roadworthy itself keeps in the folder (`.roadworthy`) is no change.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return ""
    changes = _git(folder, "status", "--porcelain", "--", ".", ":(exclude,glob)**/.roadworthy/**")
    return f"git:{commit}{'+changes' if changes is None or changes else ''}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, None where it fails. A repository's own settings may not make it run a program."""
    # Variables such as GIT_DIR, which a hook of git's own has set, would point it at another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, env={**clean, "GIT_OPTIONAL_LOCKS": "0"}, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
