"""scripts/install --no-install names what is missing, and nothing that is there."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Install(unittest.TestCase):
    def run_install(self, installed, commands, *arguments):
        """In an empty clone, on a machine that has these packages and commands."""
        with tempfile.TemporaryDirectory() as folder:
            clone, programs = Path(folder, "clone"), Path(folder, "bin")
            (clone / "scripts").mkdir(parents=True)
            programs.mkdir()
            (clone / "scripts" / "install").write_bytes((ROOT / "scripts" / "install").read_bytes())
            query = f'case " {installed} " in *" ${{@: -1}} "*) echo installed ;; *) exit 1 ;; esac'
            self.program(programs / "dpkg-query", query)
            for command in commands:
                self.program(programs / command, "exit 0")
            for command in ("bash", "dirname", "grep", "sed"):
                (programs / command).symlink_to(f"/usr/bin/{command}")
            environment = {"PATH": str(programs), "HOME": folder, "LANG": os.environ.get("LANG", "C")}
            command = ["/bin/bash", str(clone / "scripts" / "install"), "--no-install", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def program(self, path, body):
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def test_everything_missing(self):
        done = self.run_install("", [], "demo")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(
            done.stdout,
            "missing system packages: g++ cmake ninja-build ccache git python3 python3-venv "
            "libjpeg-dev libwebp-dev libgif-dev libyaml-cpp-dev "
            "libcli11-dev libspdlog-dev nlohmann-json3-dev libexpected-dev libpng-dev libpcre2-dev libutf8proc-dev "
            "libsndfile1-dev libsoxr-dev libsimdjson-dev libxxhash-dev libssl-dev libopenmpi-dev openmpi-bin espeak-ng\n"
            "missing in .deps: torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85\n",
        )

    def test_what_is_there_is_not_named(self):
        there = (
            "python3-venv libyaml-cpp-dev libcli11-dev libspdlog-dev nlohmann-json3-dev libexpected-dev libpng-dev "
            "libpcre2-dev libutf8proc-dev libsndfile1-dev libsoxr-dev libsimdjson-dev libxxhash-dev libssl-dev libopenmpi-dev"
        )
        commands = ["g++", "cmake", "ninja", "git", "python3", "mpirun", "espeak-ng"]
        done = self.run_install(there + " libjpeg-dev libwebp-dev libgif-dev", commands, "test")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(
            done.stdout,
            "missing system packages: ccache catch2\n"
            "missing in .deps: torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 "
            "clang-format==19.1.7 clang-tidy==19.1.0.1\n",
        )

    def test_unknown_argument(self):
        done = self.run_install("", [], "--everything")
        self.assertEqual((done.returncode, done.stdout), (2, ""))


if __name__ == "__main__":
    unittest.main()
