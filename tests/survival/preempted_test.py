#!/usr/bin/env python3
"""Runs that are preempted or killed at random moments, start-up included, and started again with the same command:
preempted_test.py PROGRAM [--seed N] [--mpich PROGRAM] [--faults LIBRARY] [--long] [unittest arguments].

Each is, bit for bit, the run that nobody disturbed. Slurm's part is for where a Slurm takes jobs
(tests/dist/with_slurm.sh starts one)."""

import os
import random
import signal
import subprocess
import sys
import time
import unittest

import small
from small import ROOT, Small, options

PACE = ("resume=auto", "eval.every=7")
# A run that has not come to its first checkpoint is moved aside.
AGAIN = ("--overwrite",)
LONG = "--long" in sys.argv
KEEP_RUNNING = str(ROOT / "scripts" / "keep-running")


class Preempted(Small):
    def setUp(self):
        super().setUp()
        seed = int(options.seed or random.randrange(10**6))
        print(f"\n{self.id().split('.')[-1]}: --seed {seed}", flush=True)
        self.random = random.Random(seed)
        self.eval = f"data.eval=[{{path: {self.folder / 'train.jsonl'}}}]"

    def run_on(self, *sets, env=None, **kinds):
        # MPICH's launcher may forget what a run ends with.
        before = (KEEP_RUNNING, "--") if kinds.get("kind") == "mpich" else ()
        return self.start(*self.command(*PACE, self.eval, *sets, before=before, **kinds), *AGAIN, env=env)

    def moments(self, times):
        """Each waits for a moment of a run: one in five for one of its start, the others for one of its steps."""
        early = self.random.sample(range(times), times // 5)
        return [self.of_the_start if i in early else self.of_a_step for i in range(times)]

    def of_the_start(self, process):
        time.sleep(self.random.uniform(0, 0.8))

    def of_a_step(self, process):
        steps = self.step() + self.random.randint(1, 60)
        self.await_true(lambda: self.step() >= steps, while_runs=process)
        time.sleep(self.random.uniform(0, 0.05))

    def is_straight(self, **kinds):
        """Goes on for some steps more, and compares with a run of as many."""
        last = max((r[0] for r in self.losses()), default=0) + 5
        self.assertEqual(self.end(self.run_on(steps=last, **kinds)), 0, self.text())
        self.train(*PACE, self.eval, name="straight", steps=last, **kinds)
        self.assertEqual(self.losses(), self.losses("straight"))
        self.assertEqual(self.model(), self.model("straight"))
        steps = [r[0] for r in self.losses() if r[1] is not None]
        self.assertEqual(steps, list(range(1, last + 1)))
        return last

    def chain(self, times, kind, ranks, signals, env=None):
        """`signals`: what sends one to a run, the exit code that comes of it where steps have been done, and whether
        the launcher waits for the state to be saved, however busy the machine is."""
        saved = 0
        for wait in self.moments(times):
            process = self.run_on(kind=kind, ranks=ranks, env=env)
            wait(process)
            send, expected, is_waited_for = self.random.choice(signals)
            send(process)
            code = self.end(process)
            if "stopped by SIG" in self.text():
                self.assertEqual(code, expected, self.text())
                # Nothing is lost: the newest checkpoint is that of the last step told.
                self.assertEqual(self.checkpoints()[-1], max(r[0] for r in self.losses()), self.text())
                saved += 1
            else:
                self.assertNotEqual(code, 0, self.text())
                self.assertFalse(is_waited_for and wait == self.of_a_step, self.text())
        print(f"{kind}, {ranks} ranks: {times} preemptions, {saved} of them after a step; "
              f"equal over {self.is_straight(kind=kind, ranks=ranks)} steps", flush=True)


def to_launcher(number):
    return lambda process: process.send_signal(number)


def twice(number):
    """The second while the state is saved."""
    def send(process):
        process.send_signal(number)
        time.sleep(2)
        process.send_signal(number)
    return send


def by_scancel(name):
    def send(process):
        jobs = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()
        for job in jobs:
            subprocess.run(["scancel", f"--signal={name}", job], check=False)
        if not jobs:  # not yet
            process.send_signal(signal.SIGTERM)
    return send


DIRECT = ((to_launcher(signal.SIGUSR1), 75, True), (to_launcher(signal.SIGTERM), 75, True))
# Open MPI's mpirun kills 2 s after a SIGTERM of its own, and ends with 1.
OPENMPI = ((to_launcher(signal.SIGUSR1), 75, True), (to_launcher(signal.SIGTERM), 1, False))
SLURM = ((to_launcher(signal.SIGUSR1), 75, True), (by_scancel("USR1"), 75, True), (by_scancel("TERM"), 75, True))


class Chains(Preempted):
    @unittest.skipIf(LONG, "the long form has ten")
    def test_two_preemptions(self):
        self.chain(2, "threads", 2, DIRECT)

    @unittest.skipUnless(LONG, "takes a minute: --long")
    def test_ten_preemptions_of_threads(self):
        self.chain(10, "threads", 4, DIRECT)

    @unittest.skipUnless(LONG and "--faults" in sys.argv, "--long, and the library that makes writing slow")
    def test_ten_preemptions_where_saving_takes_seconds(self):
        slow = {"LD_PRELOAD": options.faults, "FAULTS_BELOW": str(self.folder / "run" / "checkpoints"), "FAULTS_AT": "1",
                "FAULTS_KIND": "slow"}
        self.chain(10, "threads", 2, [(twice(number), 75, True) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP)],
                   env=slow)

    @unittest.skipUnless(LONG and small.mpirun_passes_signals(), "--long, and an mpirun that passes signals on")
    def test_ten_preemptions_by_open_mpi(self):
        self.chain(10, "openmpi", 4, OPENMPI)

    @unittest.skipUnless(LONG and "--mpich" in sys.argv, "--long, and a program for MPICH")
    def test_ten_preemptions_by_mpich(self):
        self.program = options.mpich
        self.chain(10, "mpich", 2, DIRECT)

    @unittest.skipUnless(LONG and "SLURM_CONF" in os.environ, "--long, and a Slurm")
    def test_ten_preemptions_by_slurm(self):
        self.chain(10, "srun", 2, SLURM)


class Killed(Preempted):
    SAVING = "checkpoint.every=5"

    def kills(self, times, process, **kinds):
        """SIGKILL, so many times, at random moments, to one of the ranks; then the run is asked to stop."""
        for wait in self.moments(times):
            wait(process)
            self.await_true(lambda: self.ranks(process), while_runs=process)
            self.assertIsNone(process.poll(), self.text())
            there = self.ranks(process)
            os.kill(self.random.choice(there), signal.SIGKILL)
            self.await_true(lambda: not set(there) & set(self.left()), limit=10)
        steps = self.step() + 5
        self.await_true(lambda: self.step() >= steps, while_runs=process)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.end(process), 75, self.text())
        said = self.text()
        print(f"{kinds['kind']}, {kinds['ranks']} ranks: {times} kills; equal over {self.is_straight(**kinds)} steps", flush=True)
        return said

    def ranks(self, process):
        return [pid for pid in self.left() if pid != process.pid]

    def test_restarted_by_the_parent(self):
        kinds, times = ({"kind": "threads", "ranks": 4}, 5) if LONG else ({"kind": "alone", "ranks": 1}, 2)
        process = self.start(*self.command(*PACE, self.eval, self.SAVING, **kinds), "--restarts", "5")
        said = self.kills(times, process, **kinds)
        self.assertEqual(said.count("the run ended with SIGKILL: it starts again "), times, said)

    @unittest.skipUnless(LONG and small.mpirun_passes_signals(), "--long, and an mpirun that passes signals on")
    def test_restarted_by_the_script(self):
        self.by_the_script("openmpi", 4)

    @unittest.skipUnless(LONG and "--mpich" in sys.argv, "--long, and a program for MPICH")
    def test_restarted_by_the_script_under_mpich(self):
        self.program = options.mpich
        self.by_the_script("mpich", 2)

    @unittest.skipUnless(LONG and "SLURM_CONF" in os.environ, "--long, and a Slurm")
    def test_restarted_by_the_script_under_slurm(self):
        self.by_the_script("srun", 2)

    def by_the_script(self, kind, ranks):
        script = (KEEP_RUNNING, "--restarts", "5", "--")
        process = self.start(*self.command(*PACE, self.eval, self.SAVING, kind=kind, ranks=ranks, before=script))
        said = self.kills(5, process, kind=kind, ranks=ranks)
        self.assertEqual(said.count("keep-running: exit code "), 5, said)


if __name__ == "__main__":
    small.main(seed="of the moments", mpich="a program whose MPI backend is MPICH's",
               faults="the library that makes writing slow (tests/crash/file_faults.cpp)")
