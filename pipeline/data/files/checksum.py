"""Checksums that tell whether data in files have changed."""

import hashlib
import os
from pathlib import Path


def checksum(path: str) -> str:
    """SHA-256 of a file; of a folder, of the names and sizes of all files in it.

    A folder of pictures would take too long to read, and is decoded but once.
    """
    digest = hashlib.sha256()
    if os.path.isdir(path):
        held = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
        for file in sorted(held):
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
    else:
        with open(path, "rb") as source:
            while block := source.read(2**20):
                digest.update(block)
    return digest.hexdigest()
