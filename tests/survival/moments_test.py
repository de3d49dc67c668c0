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
    def victim(self, flags, moment):
        """The process of a new run, and one of its ranks, or None where the machine is so busy that the run gives its start up."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        deadline = [f"deadlines.start={START}"] if moment == "start" else []
        command = self.command("checkpoint.every=3", *deadline, kind="openmpi", ranks=RANKS)
        process = self.start(*command[:1], *flags, *command[1:])
        self.await_true(self.left if moment == "start" else lambda: self.step() >= 1, while_runs=process)
        time.sleep(self.random.uniform(0, 1 if moment == "start" else 0.5))
        # One that becomes another program is not seen for a moment.
        self.await_true(self.left, while_runs=process)
        there = self.left()
        if not there:
            self.end(process)
            self.assertEqual(moment, "start", self.text())
            self.assertRegex(self.text(), rf"FATAL .* (waited|within) {START} s\n")
        return process, self.random.choice(there) if there else None

    def is_left_by_its_launcher(self, process):
        """Open MPI 4.1's mpirun now and then stays for ever, with none of ours, where a rank dies within MPI_Init."""
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            print(f"mpirun was still there 60 s after all ranks: {self.text()}", flush=True)
            return True
        return False

    def kill_one(self, flags, moment):
        """The rank that was killed, the seconds until all were gone, and whether their launcher was not."""
        for _ in range(10):
            process, pid = self.victim(flags, moment)
            if pid:
                break
            print(f"a start took longer than {START} s: once more", flush=True)
        else:
            self.fail(f"no start within {START} s: {self.text()}")
        rank = self.rank_of(pid)
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        self.await_true(lambda: not self.left(), limit=60)
        gone = time.monotonic() - begin
        stays = self.is_left_by_its_launcher(process)
        if not flags:  # else it may take a rank's end for none
            self.assertNotEqual(self.end(process), 0, self.text())
        return rank, gone, stays

    def moments(self, flags, *moments):
        seed = int(options.seed or random.randrange(10**6))
        print(f"\n{self.id().split('.')[-1]}: --seed {seed}", flush=True)
        self.random = random.Random(seed)
        right, slowest, mpis, stayed = 0, 0, 0, 0
        for moment in moments:
            rank, gone, stays = self.kill_one(flags, moment)
            slowest = max(slowest, gone)
            stayed += stays and moment == "start"
            self.assertFalse(stays and moment != "start", self.text())
            self.assertLess(gone, 10, self.text())
            if flags and "MPI_INIT has failed" in self.text():
                mpis += 1  # before there is anything of ours: MPI ends the others, in its own words
                continue
            named = re.findall(r"^FATAL rank=(\S+) ", self.text(), re.M)
            if not named and not flags:  # too early for a line of ours
                named = re.findall(r"^\w+run noticed that process rank (\d+) with PID \d+ .* exited on\s+signal 9", self.text(), re.M)
            right += named == [str(rank)]
            if named != [str(rank)]:
                print(f"rank {rank}, named {named}: {self.text()}", flush=True)
        print(f"{right} of {len(moments)} named, {mpis} within MPI's own start, gone after {slowest:.1f} s at most, "
              f"{stayed} times without their launcher", flush=True)
        self.assertGreaterEqual(right, (len(moments) - mpis) * 95 // 100)
        self.assertLessEqual(stayed, len(moments) // 20)


def add(name, flags, *moments):
    setattr(Moments, f"test_a_launcher_that_{name}", lambda self: self.moments(flags, *moments))


if version_of_mpi():
    launchers = {"ends_the_others": []}
    # Open MPI 4 alone can be told to.
    if "Open MPI) 4" in version_of_mpi():
        launchers["leaves_them_alone"] = ALONE
    for name, flags in launchers.items():
        if LONG:
            add(f"{name}_at_the_start", flags, *["start"] * 35)
            add(f"{name}_at_a_step", flags, *["steps"] * 65)
        else:
            add(name, flags, "start", "steps", "steps")


if __name__ == "__main__":
    if not version_of_mpi():
        print("skipped: there is no mpirun")
        sys.exit(77)
    small.main(seed="of the moments")
