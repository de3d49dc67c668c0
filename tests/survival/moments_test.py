#!/usr/bin/env python3
"""One rank is killed at a random moment, start-up included, under a launcher that ends the others and under one that leaves
them alone: moments_test.py PROGRAM [--seed N] [--long] [unittest arguments].

All are gone within 10 s (within the deadline of the start where one dies before ranks know each other), and one line
names the rank that died."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

import small
from small import Small, options

RANKS, START = 4, 5
LONG = "--long" in sys.argv
ALONE = ["--enable-recovery", "--mca", "orte_abort_on_non_zero_status", "0"]  # Open MPI 4's


def version_of_mpi():
    if not shutil.which("mpirun"):
        return ""
    return subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False).stdout


class Moments(Small):
    def kill_one(self, flags, moment):
        """The rank that was killed, and the seconds until all were gone."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        command = self.command("checkpoint.every=3", f"deadlines.start={START}", kind="openmpi", ranks=RANKS)
        process = self.start(*command[:1], *flags, *command[1:])
        if moment == "start":
            self.await_true(self.left, while_runs=process)
            time.sleep(self.random.uniform(0, 1))
        else:
            self.await_true(lambda: self.step() >= 1, while_runs=process)
            time.sleep(self.random.uniform(0, 0.5))
        pid = self.random.choice(self.left())
        rank = self.rank_of(pid)
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        self.await_true(lambda: not self.left(), limit=60)
        gone = time.monotonic() - begin
        code = self.end(process)
        if not flags:  # else it may take a rank's end for none
            self.assertNotEqual(code, 0, self.text())
        return rank, gone

    def moments(self, flags, times):
        seed = int(options.seed or random.randrange(10**6))
        print(f"\n{self.id().split('.')[-1]}: --seed {seed}", flush=True)
        self.random = random.Random(seed)
        right, slowest = 0, 0
        for at in range(times):
            rank, gone = self.kill_one(flags, "start" if at % 3 == 0 else "steps")
            named = re.findall(r"^FATAL rank=(\S+) ", self.text(), re.M)
            if not named and not flags:  # too early for a line of ours
                named = re.findall(r"^\w+run noticed that process rank (\d+) with PID \d+ .* exited on\s+signal 9", self.text(), re.M)
            right += named == [str(rank)]
            if named != [str(rank)]:
                print(f"rank {rank}, named {named}: {self.text()}", flush=True)
            self.assertLess(gone, 10, self.text())
            slowest = max(slowest, gone)
        print(f"{right} of {times} named, gone after {slowest:.1f} s at most", flush=True)
        self.assertGreaterEqual(right, times * 95 // 100)

    @unittest.skipUnless(version_of_mpi(), "there is no mpirun")
    def test_a_launcher_that_ends_the_others(self):
        self.moments([], 100 if LONG else 3)

    @unittest.skipUnless("Open MPI) 4" in version_of_mpi(), "only Open MPI 4 can be told to leave the others alone")
    def test_a_launcher_that_leaves_them_alone(self):
        self.moments(ALONE, 100 if LONG else 3)


if __name__ == "__main__":
    small.main(seed="of the moments")
