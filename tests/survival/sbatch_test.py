#!/usr/bin/env python3
"""scripts/slurm/train.sbatch in a real Slurm: sbatch_test.py PROGRAM [--long] [unittest arguments], under
tests/dist/with_slurm.sh."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest

import small
from small import ROOT, Small, options

SCRIPT = ROOT / "scripts" / "slurm" / "train.sbatch"
RANKS = 2


def slurm(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


class Batch(Small):
    def setUp(self):
        super().setUp()
        self.job_said = self.said = self.folder / "job.said"
        self.write_steps(1_000_000)

    def write_steps(self, steps):
        """The config's, which a job reads again whenever it begins."""
        values = {**small.config(self.folder), "layout": "single", "sharding": "zero1", "checkpoint": {"every": 20},
                  "run_dir": str(self.folder / "run"), "steps": steps}
        (self.folder / "run.yaml").write_text(json.dumps(values))

    def submit(self, *options_of_sbatch, **env):
        """The job's id. It is cancelled at the test's end."""
        words = ["sbatch", "--parsable", "--nodes=1", f"--ntasks-per-node={RANKS}", "--gpus-per-node=0",
                 f"--output={self.job_said}", *options_of_sbatch, str(SCRIPT), str(self.folder / "run.yaml")]
        env = {**small.environment(), "SURVIVAL": str(self.folder), "CORNSTARCH_TRAIN": options.program,
               "SRUN_ARGS": "--mpi=pmix", **env}
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, cwd=self.folder, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        job = done.stdout.strip()
        self.addCleanup(slurm, "scancel", job)
        return job

    def text(self):
        return self.said.read_text() if self.said.exists() else ""

    def shown(self, job, key):
        return re.search(rf"\b{key}=(\S+)", slurm("scontrol", "show", "job", job).stdout)[1]

    def await_steps(self, more):
        steps = self.step() + more
        self.await_true(lambda: self.step() >= steps)

    def await_requeued(self, job, times):
        """Slurm would let it wait for two minutes, until no launch of before is good any more. It counts in seconds."""
        self.await_true(lambda: (self.shown(job, "JobState"), self.shown(job, "Restarts")) == ("PENDING", str(times)))
        self.await_true(lambda: not self.left(), limit=10)
        time.sleep(2)
        self.assertEqual(slurm("scontrol", "update", f"JobId={job}", "StartTime=now").returncode, 0)

    def await_end(self, job):
        self.await_true(lambda: self.shown(job, "JobState") in ("COMPLETED", "FAILED"))
        self.await_true(lambda: not self.left(), limit=10)
        return self.shown(job, "JobState"), self.shown(job, "ExitCode"), self.shown(job, "Restarts")

    def faults(self, job):
        counted = self.folder / f".cornstarch-faults-{job}"
        return int(counted.read_text()) if counted.exists() else 0

    def kill_a_rank(self):
        workers = self.left()
        self.assertEqual(len(workers), RANKS)
        os.kill(workers[0], signal.SIGKILL)

    def ends_well(self, job, times):
        """With so many steps more, which are those of a run that nobody disturbed."""
        steps = max(r[0] for r in self.losses()) + 5
        self.write_steps(steps)
        self.await_requeued(job, times)
        self.assertEqual(self.await_end(job), ("COMPLETED", "0:0", str(times)), self.text())
        self.assertEqual(self.faults(job), 0)
        words = [options.program, "--config", str(self.folder / "run.yaml"), "--local-ranks", str(RANKS), "--set",
                 f"run_dir={self.folder / 'straight'}"]
        self.assertEqual(self.end(self.start(*words)), 0, self.text())
        self.said = self.job_said
        self.assertEqual(self.losses(), self.losses("straight"))
        self.assertEqual(self.model(), self.model("straight"))

    def test_what_is_preempted_goes_on(self):
        job = self.submit()
        # To the ranks; a fault (None), which alone is counted; to the script, as --signal=B:USR1@300 does.
        ways = [("--signal=USR1",), None, ("--batch", "--signal=USR1")]
        if "--long" in sys.argv:
            ways += [("--signal=TERM",), ("--batch", "--signal=TERM"), ("--signal=USR1",)]
        for times, way in enumerate(ways, 1):
            self.await_steps(20)
            if way is None:
                self.kill_a_rank()
            else:
                slurm("scancel", *way, job)
            if times < len(ways):
                self.await_requeued(job, times)
                self.assertEqual(self.faults(job), 1 if times >= 2 else 0)
        self.ends_well(job, len(ways))
        codes = ["75" if way else "137" for way in ways]
        said = self.text()
        self.assertEqual(re.findall(r"train.sbatch: exit code (\d+): back into the queue \(restart (\d)\)\n", said),
                         [(code, str(n)) for n, code in enumerate(codes, 1)], said)
        self.assertEqual(said.count("goes on behind step "), len(ways), said)

    def test_so_many_faults_end_it(self):
        job = self.submit(RESTARTS="1")
        self.await_steps(20)
        self.kill_a_rank()
        self.await_requeued(job, 1)
        self.await_steps(20)
        self.kill_a_rank()
        self.assertEqual(self.await_end(job), ("FAILED", "137:0", "1"), self.text())
        self.assertEqual(self.faults(job), 2)

    def test_a_fault_at_the_start_counts_too(self):
        """Slurm then ends the other rank with SIGTERM, as if it had been asked to stop."""
        job = self.submit(RESTARTS="0")
        self.await_true(lambda: len(self.left()) == RANKS)
        self.kill_a_rank()
        state, code, restarts = self.await_end(job)
        self.assertEqual((state, restarts, self.faults(job)), ("FAILED", "0", 1), self.text())
        self.assertIn(code, ("137:0", "143:0"))

    def test_a_bad_config_is_not_tried_again(self):
        self.write_steps("many")
        job = self.submit()
        self.assertEqual(self.await_end(job), ("FAILED", "2:0", "0"), self.text())
        self.assertIn("steps", self.text())
        self.assertNotIn("back into the queue", self.text())
        self.assertFalse((self.folder / f".cornstarch-faults-{job}").exists())

    @unittest.skipUnless("--long" in sys.argv, "takes minutes: --long")
    def test_before_its_time_is_up_it_goes_back_into_the_queue(self):
        job = self.submit("--time=1", "--signal=B:USR1@45")
        self.await_steps(20)
        self.await_true(lambda: "back into the queue" in self.text())
        self.ends_well(job, 1)


if __name__ == "__main__":
    small.main()
