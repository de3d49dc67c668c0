#!/usr/bin/env python3
"""What `cmake --install` leaves, run from where it lies: installed_test.py BUILD_FOLDER [unittest arguments]."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
build = pathlib.Path()  # from the command line


def run(*words):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=100, check=False,
                          env={**kept, "OMP_NUM_THREADS": "1"})


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-installed-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "prefix"
        done = run("cmake", "--install", build, "--prefix", cls.prefix)
        assert done.returncode == 0, done.stderr
        data = f"[{{path: {EXAMPLE / 'conversations.jsonl'}, media_root: {EXAMPLE}}}]"
        cls.config = ("--config", ROOT / "configs" / "demo.yaml", "--set", f"data.train={data}", "--set",
                      f"data.eval={data}", "--set", f"data.tokenizer={EXAMPLE / 'tokenizer.json'}", "--set",
                      "lr_schedule.warmup_steps=1", "--set", "batch.global_size=4", "--set", "batch.microbatch_size=1",
                      "--set", "steps=2", "--set", f"run_dir={cls.folder / 'run'}")

    def program(self):
        return self.prefix / "bin" / "cornstarch-train"

    def test_it_lies_where_its_parts_look_for_each_other(self):
        files = {str(file.relative_to(self.prefix)) for file in self.prefix.rglob("*") if file.is_file()}
        wanted = {"bin/cornstarch-train", "bin/cornstarch-worker"}
        if (build / "lib" / "libcornstarch_mpi.so").exists():
            wanted.add("lib/libcornstarch_mpi.so")
        self.assertEqual(files, wanted)

    def test_it_needs_nothing_of_the_build(self):
        if shutil.which("readelf") is None:
            self.skipTest("there is no readelf")
        for file in self.prefix.rglob("*"):
            if file.is_file():
                self.assertNotIn(f"{build}/", run("readelf", "-d", file).stdout, file)

    def test_validate(self):
        done = run(self.program(), "validate", *self.config)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, f"{ROOT / 'configs' / 'demo.yaml'}: valid"),
                         done.stderr)

    def test_train(self):
        done = run(self.program(), *self.config, "--local-ranks", 4)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = (self.folder / "run" / "metrics.jsonl").read_text().splitlines()
        self.assertEqual([record["step"] for record in map(json.loads, lines) if "loss" in record], [1, 2])


if __name__ == "__main__":
    build = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
