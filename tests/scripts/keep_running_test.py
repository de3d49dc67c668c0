#!/usr/bin/env python3
"""scripts/keep-running with a command that ends as it is told, and leaves checkpoints."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "keep-running"
# The n-th start takes the n-th line of `ends`: an exit code, and the step of a checkpoint that it leaves; or how it ends
# once there is a signal: `wait` as asked, `forgotten` with 0, `done` with 0 and a model, `lost` as asked by the second.
COMMAND = """
echo "$@" >> "$0/starts"
read -r code step < <(sed -n "$(wc -l < "$0/starts")p" "$0/ends")
[[ -z $step ]] || { mkdir -p "$0/run/checkpoints/$step"; touch "$0/run/checkpoints/$step/manifest.json"; }
at_end() {
  [[ $code != done ]] || { mkdir -p "$0/run/model/llm"; touch "$0/run/model/llm/model.safetensors"; }
  [[ $code == wait || $code == lost ]] && exit 75 || exit 0
}
case $code in wait | forgotten | done | lost)
  trap at_end USR1
  [[ $code != lost ]] || trap "trap at_end USR1" USR1
  echo there > "$0/there"
  while true; do sleep 0.05; done ;;
esac
exit "$code"
"""
AGAIN = " --set resume=auto --overwrite"


class KeepRunning(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-keep-running-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def words(self, ends, *options, launcher="bash"):
        (self.folder / "ends").write_text("".join(f"{end}\n" for end in ends))
        (self.folder / "starts").unlink(missing_ok=True)
        return [SCRIPT, *options, "--", launcher, "-c", COMMAND, self.folder, "--set", f"run_dir={self.folder / 'run'}"]

    def ends(self, *ends, options=("--restarts", "2")):
        """What it ends with, says, and how it started the command."""
        done = subprocess.run(self.words(ends, *options), capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr, (self.folder / "starts").read_text().splitlines()

    def test_what_would_come_again_is_not_tried_again(self):
        for code in (0, 2, 15, 65, 66, 75, 78, 80, 129, 130, 138):
            self.assertEqual(self.ends(code), (code, "", [f"--set run_dir={self.folder / 'run'}"]))

    def test_what_may_not_come_again_is(self):
        for code in (1, 6, 9, 11, 69, 70, 71, 74, 76, 134, 137, 139, 143):
            first = f"--set run_dir={self.folder / 'run'}"
            self.assertEqual(self.ends(code, 0), (0, f"keep-running: exit code {code}; again from the first step (restart 1 "
                                                     "of 2)\n", [first, first + AGAIN]))

    def test_progress_is_a_newer_checkpoint(self):
        code, said, starts = self.ends("137 step-00000002", "1", "137 step-00000010", "137 step-00000012.partial", "76")
        self.assertEqual((code, len(starts)), (76, 5))
        self.assertEqual(said, "keep-running: exit code 137; again from step-00000002 (restart 1 of 2)\n"
                               "keep-running: exit code 1; again from step-00000002 (restart 2 of 2)\n"
                               "keep-running: exit code 137; again from step-00000010 (restart 1 of 2)\n"
                               "keep-running: exit code 137; again from step-00000010 (restart 2 of 2)\n"
                               "keep-running: exit code 76, and 2 restarts brought no newer checkpoint\n")

    def test_a_signal_is_passed_on_and_ends_it(self):
        self.assertEqual(self.end_by_a_signal("wait"), 75)

    def test_a_signal_that_the_launcher_loses(self):
        hydra = self.folder / "mpiexec.hydra"
        shutil.copy(shutil.which("bash"), hydra)
        self.assertEqual(self.signalled(["lost"], launcher=hydra), 75)

    def test_an_exit_code_that_the_launcher_forgets(self):
        self.assertEqual(self.end_by_a_signal("forgotten"), 75)
        self.assertEqual(self.end_by_a_signal("done"), 0)
        # That model is none of the next run's.
        self.assertEqual(self.end_by_a_signal("forgotten"), 75)
        self.assertEqual(self.end_by_a_signal("done"), 0)

    def end_by_a_signal(self, end):
        return self.signalled(["137", end])

    def test_a_signal_before_there_is_anything_to_pass_it_on_to(self):
        """While it looks which weights there are: before the first start, and before the second."""
        slow = self.folder / "slow"
        slow.mkdir()
        for ends, starts in ((["0"], 0), (["137 step-00000002", "0"], 1)):
            (slow / "stat").write_text(f"#!/bin/sh\nlines=$(cat '{self.folder}/starts' 2>/dev/null | wc -l)\n"
                                       f"[ $lines = {starts} ] && echo > '{self.folder}/there' && sleep 1\n")
            (slow / "stat").chmod(0o755)
            self.assertEqual(self.signalled(ends, {**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"}), 75)
            file = self.folder / "starts"
            self.assertEqual(len(file.read_text().splitlines()) if file.exists() else 0, starts)

    def signalled(self, ends, env=None, **words):
        """What it ends with that is told to stop once there is a file that says so."""
        (self.folder / "there").unlink(missing_ok=True)
        process = subprocess.Popen(self.words(ends, **words), stderr=subprocess.PIPE, env=env)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 30
        while not (self.folder / "there").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
        code = process.wait(timeout=30)
        process.stderr.close()
        return code

    def test_the_folder_has_to_be_known(self):
        done = subprocess.run([SCRIPT, "--", "true"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, "keep-running: which folder is the run's? --run-dir DIR\n"))


if __name__ == "__main__":
    unittest.main()
