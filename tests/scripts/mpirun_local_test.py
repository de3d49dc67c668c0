#!/usr/bin/env python3
"""scripts/mpirun-local starts ranks where mpirun alone would refuse to."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "mpirun-local"


def run(*words, path=os.environ["PATH"], **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PRTE_", "PMIX_", "PMI_"))}
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=120, check=False,
                          env={**kept, "PATH": path, **variables})


class MpirunLocal(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-mpirun-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def path_without(self, *commands):
        """A folder that links every command of PATH but these."""
        for folder in os.environ["PATH"].split(":"):
            for command in pathlib.Path(folder).glob("*"):
                if command.is_file() and command.name not in commands and not (self.folder / command.name).exists():
                    (self.folder / command.name).symlink_to(command)
        return str(self.folder)

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_more_ranks_than_cores_start_with_and_without_ssh(self):
        for path in (os.environ["PATH"], self.path_without("ssh", "rsh")):
            ranks = (os.cpu_count() or 1) + 1
            done = run("-n", str(ranks), "sh", "-c", "echo here", path=path)
            self.assertEqual((done.returncode, done.stdout), (0, ranks * "here\n"), done.stderr)

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_what_the_environment_says_counts(self):
        done = run("-n", "1", "printenv", "OMPI_MCA_btl", OMPI_MCA_btl="self,vader")
        self.assertEqual((done.returncode, done.stdout), (0, "self,vader\n"), done.stderr)

    def test_without_mpirun_it_names_the_package(self):
        done = run("-n", "1", "true", path=self.path_without("mpirun"))
        self.assertEqual((done.returncode, done.stderr), (127, "mpirun-local: there is no mpirun (package openmpi-bin)\n"))

    def test_without_a_program_it_says_what_it_is_for(self):
        done = run()
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stdout.startswith("mpirun-local [OPTION...] PROGRAM [ARGUMENT...]\n"), done.stdout)


if __name__ == "__main__":
    unittest.main()
