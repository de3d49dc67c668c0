#!/usr/bin/env python3
"""Thousands of steps cost no more than the first: soak_test.py PROGRAM [--long] [unittest arguments].

Memory, file descriptors and threads of every process, as /proc tells them, late in a run beside early in it; with
checkpoints, evaluations and several epochs in between."""

import signal
import statistics
import sys
import time
import unittest
from pathlib import Path

import small
from small import Small

LONG = "--long" in sys.argv
GROWTH = 1.01 if LONG else 1.02  # of memory: fewer steps are nearer to the start, whose caches still fill
SETS = ("checkpoint.every=100", "checkpoint.keep=2", "eval.every=150", "log.every=1000")


def look(pid):
    """KiB of resident memory, open descriptors, threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    return int(fields["VmRSS"].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir())), int(fields["Threads"])


class Soak(Small):
    def looks(self):
        """Of each process: usual memory, and the fewest descriptors and threads: a save opens and starts some."""
        pids, looks = self.left(), []
        for _ in range(40):
            looks.append([look(pid) for pid in pids])
            time.sleep(0.02)
        memory, files, threads = (list(zip(*[[p[i] for p in each] for each in looks])) for i in range(3))
        return [statistics.median(m) for m in memory], [min(f) for f in files], [min(t) for t in threads]

    def soak(self, ranks, kind, early, late):
        """Looks after so many steps, and so many."""
        data = self.folder / "train.jsonl"
        process = self.start(*self.command(*SETS, f"data.eval=[{{path: {data}}}]", ranks=ranks, kind=kind))
        seen = []
        for steps in (early, late):
            self.await_true(lambda: self.step() >= steps, limit=600, while_runs=process)
            self.assertIsNone(process.poll(), self.text())
            seen.append(self.looks())
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.end(process), 75, self.text())
        (memory, files, threads), (later, files_later, threads_later) = seen
        self.assertEqual(len(memory), 1 if kind == "threads" else ranks)
        for before, after in zip(memory, later, strict=True):
            print(f"{kind}, {ranks} ranks: {before / 1024:.1f} MiB after {early} steps, {after / 1024:.1f} after {late} "
                  f"({100 * (after / before - 1):+.2f} %), {files} descriptors, {threads} threads", flush=True)
            self.assertLess(after, GROWTH * before)
        self.assertEqual((files_later, threads_later), (files, threads))

    def test_one_process(self):
        self.soak(1, "alone", *((1000, 10_000) if LONG else (200, 1000)))

    @unittest.skipUnless(small.mpirun_passes_signals(), "there is no mpirun that passes signals on")
    def test_two_ranks(self):
        self.soak(2, "openmpi", *((1000, 10_000) if LONG else (100, 400)))


if __name__ == "__main__":
    small.main()
