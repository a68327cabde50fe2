"""Folders in which a tool may write as it likes and nothing changes: its writes go to a layer above (overlayfs).

Source: Documentation/filesystems/overlayfs.rst of Linux; allowed in a user namespace since 5.11.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from assistant.selftest import namespace

UPPER, WORK = "upper", "work"
SHOWN = 200


def guard(folder: str, aside: str) -> bool:
    """Lay an empty layer over the folder, in this mount namespace. False where the kernel does not allow that."""
    layer = _layer(folder, aside)
    for name in (UPPER, WORK):
        (layer / name).mkdir(parents=True, mode=0o700)
    if any("," in path or ":" in path or "\\" in path for path in (folder, aside)):
        return False  # these have a meaning in the options
    options = f"lowerdir={folder},upperdir={layer / UPPER},workdir={layer / WORK},userxattr"
    try:
        namespace.mount("overlay", folder, "overlay", options=options)
    except OSError:
        return False
    return True


def found(aside: str, guarded: list[str]) -> list[str]:
    """What was written or removed, below `~` where it is there; at most SHOWN."""
    names, home = [], str(Path.home())
    for folder in guarded:
        upper = _layer(folder, aside) / UPPER
        for place, _, files in os.walk(upper):
            for file in files:
                path = Path(place, file)
                removed = stat.S_ISCHR(path.lstat().st_mode)
                shown = str(Path(folder, path.relative_to(upper)))
                shown = "~" + shown[len(home) :] if shown.startswith(home + "/") else shown
                names.append(shown + (" (removed)" if removed else ""))
                if len(names) == SHOWN:
                    return sorted(names)
    return sorted(names)


def _layer(folder: str, aside: str) -> Path:
    return Path(aside, hashlib.sha256(os.fsencode(folder)).hexdigest()[:8])


def discard(aside: str) -> None:
    """Remove the layers. The kernel keeps a folder in them that nobody may enter."""
    for place, folders, _ in os.walk(aside):
        for folder in folders:
            Path(place, folder).chmod(0o700)
    shutil.rmtree(aside, ignore_errors=True)
