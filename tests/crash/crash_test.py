#!/usr/bin/env python3
"""Saves that are killed, or refused by the disk, at every file operation: crash_test.py SAVE_PROGRAM FAULTS_LIBRARY.

After each, the newest whole checkpoint is that of the step before or of the step itself, and holds what it wrote; the
next save then succeeds."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

program = library = ""


class Crashes(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-crash-test-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.addCleanup(shutil.rmtree, self.folder)

    def save(self, folder, ranks, first, last, **faults):
        settings = {f"FAULTS_{key.upper()}": str(value) for key, value in faults.items()}
        if faults:
            settings |= {"LD_PRELOAD": library, "FAULTS_BELOW": str(self.folder)}
        return subprocess.run([program, str(folder), str(ranks), str(first), str(last)], env=settings, capture_output=True,
                              text=True, timeout=60, check=False)

    def newest(self, folder):
        read = subprocess.run([program, str(folder)], capture_output=True, text=True, check=False)
        self.assertEqual(read.returncode, 0, read.stderr)
        return int(read.stdout)

    def operations(self, ranks):
        """File operations of a third save, which removes the first."""
        folder = self.folder / "counted"
        self.save(folder, ranks, 1, 2)
        count = self.folder.with_suffix(".count")
        self.save(folder, ranks, 3, 3, count=count)
        self.addCleanup(count.unlink, missing_ok=True)
        return int(count.read_text())

    def check(self, ranks, kind, stays=0):
        outcomes = {2: 0, 3: 0}
        total = self.operations(ranks)
        for at in range(1, total + 1):
            folder = self.folder / f"{ranks}-{kind}-{stays}-{at}"
            self.save(folder, ranks, 1, 2)
            done = self.save(folder, ranks, 3, 3, at=at, kind=kind, stays=stays)
            if kind in ("kill", "half"):
                # Ranks that are there at once may need one operation less.
                self.assertIn(done.returncode, (-9, 0) if at > total - ranks else (-9,), (ranks, kind, at))
            elif done.returncode != 0:
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertRegex(done.stderr, "No space left on device|Input/output error")
            step = self.newest(folder)
            self.assertIn(step, (2, 3), (ranks, kind, at))
            outcomes[step] += 1
            again = self.save(folder, ranks, 3, 3)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual(self.newest(folder), 3)
            left = sorted(p.name for p in folder.iterdir())
            self.assertEqual(left, ["step-00000002", "step-00000003"], (ranks, kind, at))
            shutil.rmtree(folder)
        self.assertGreater(outcomes[2], total // 2)
        self.assertGreater(outcomes[3], 3)
        return total

    def test_killed_at_every_file_operation(self):
        points = sum(self.check(ranks, kind) for ranks in (1, 2, 4) for kind in ("kill", "half"))
        self.assertGreaterEqual(points, 200)

    def test_the_disk_refuses_every_file_operation(self):
        for ranks in (1, 4):
            for kind in ("nospace", "io"):
                self.check(ranks, kind)
        self.check(2, "nospace", stays=1)


if __name__ == "__main__":
    library = str(pathlib.Path(sys.argv.pop()).resolve())
    program = str(pathlib.Path(sys.argv.pop()).resolve())
    unittest.main()
