#!/usr/bin/env python3
"""Thousands of steps cost no more than the first, and the last one no more than a copy of the model: soak_test.py PROGRAM
[--long] [unittest arguments].

Memory, file descriptors and threads of every process, as /proc tells them, late in a run beside early in it; with
checkpoints, evaluations and several epochs in between."""

import os
import shutil
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
        self.stop(process)
        (memory, files, threads), (later, files_later, threads_later) = seen
        self.assertEqual(len(memory), 1 if kind == "threads" else ranks)
        for before, after in zip(memory, later, strict=True):
            print(f"{kind}, {ranks} ranks: {before / 1024:.1f} MiB after {early} steps, {after / 1024:.1f} after {late} "
                  f"({100 * (after / before - 1):+.2f} %), {files} descriptors, {threads} threads", flush=True)
            self.assertLess(after, GROWTH * before)
        self.assertEqual((files_later, threads_later), (files, threads))

    def test_one_process(self):
        self.soak(1, "alone", *((1000, 10_000) if LONG else (200, 1000)))

    def peak(self, hidden):
        """Bytes that a run takes at most, and those of its parameters: two layers, and embeddings on both sides."""
        sizes = [f"model.llm.config.{key}={value}" for key, value in (("hidden_size", hidden), ("intermediate_size", 4 * hidden))]
        process = self.start(*self.command(*sizes, name=f"run-{hidden}", steps=2))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, self.text())
        return 1024 * usage.ru_maxrss, 4 * (2 * 15 * hidden * hidden + 2 * 400 * hidden)

    def test_a_model_is_written_from_one_copy_of_it(self):
        """Beside parameters, gradients and two moments. Were it three copies, it would be seven of the parameters in all."""
        (small_one, few), (large_one, many) = self.peak(16), self.peak(1024)
        copies = (large_one - small_one) / (many - few)
        print(f"{copies:.2f} copies of the parameters at most", flush=True)
        self.assertLess(copies, 6)

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_two_ranks(self):
        self.soak(2, "openmpi", *((1000, 10_000) if LONG else (100, 400)))


if __name__ == "__main__":
    small.main()
