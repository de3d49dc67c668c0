#!/usr/bin/env python3
"""Runs whose wall clocks jump by hours and days, and of which one rank's host was started at another time than the others':
clock_test.py PROGRAM --clock LIBRARY [--long] [unittest arguments].

Nobody is blamed for it, nothing is saved or measured otherwise than on a host with a good clock, and what is wrong is found
as ever. LIBRARY is that of tests/survival/clock_faults.cpp."""

import json
import os
import re
import shutil
import signal
import sys
import time
import unittest
from datetime import datetime

import small
from small import Small, options

LONG = "--long" in sys.argv
JUMPS = 20
# Rank 1's clocks are another host's. Whoever has no namespaces of time has one clock that nobody sets.
SKEWED = ('export LD_PRELOAD="$LIBRARY" CLOCK_EVERY=100; '
          'if test "${OMPI_COMM_WORLD_RANK:-0}" = 1 && $UNSHARE true 2> /dev/null; then exec $UNSHARE "$@"; fi; exec "$@"')
UNSHARE = "unshare --time --monotonic=864123 --boottime=864123 --fork --kill-child --"
# Whatever looks at the wrong clock sees hours pass.
DEADLINES = ("deadlines.start=60", "deadlines.step=60", "deadlines.data=60", "deadlines.collective=60", "stop.grace_seconds=60")


class Clock(Small):
    def jumping(self, *sets, **kinds):
        command = self.command("resume=auto", "checkpoint.every_minutes=600", *DEADLINES, *sets, more=("sh", "-c", SKEWED, "sh"),
                               **kinds)
        return self.start(*command, env={"LIBRARY": options.clock, "UNSHARE": UNSHARE})

    def records(self):
        metrics = self.folder / "run" / "metrics.jsonl"
        text = metrics.read_text() if metrics.exists() else ""
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def jumps(self):
        times = [datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp() for r in self.records()]
        return sum(abs(b - a) > 1000 for a, b in zip(times, times[1:]))

    def measured(self):
        for record in self.records():
            stages = record.get("previous_step", [])
            for seconds in (record["step_time_s"], *(v for s in stages for k, v in s.items() if k.endswith("_s"))):
                self.assertTrue(0 <= seconds < 60, record)

    def undisturbed(self, ranks, kind):
        kinds, said, stops = {"ranks": ranks, "kind": kind}, "", 2
        for stop in range(1, stops + 1):
            process = self.jumping(**kinds)
            self.await_true(lambda: self.jumps() >= stop * JUMPS // stops, while_runs=process)
            self.assertIsNone(process.poll(), self.text())
            self.stop(process)
            said += self.text()
            # Ten hours have not passed.
            self.assertEqual(len(self.checkpoints()), stop, self.text())
        self.assertNotRegex(said, "FATAL|error|warning|was dropped")
        last = self.records()[-1]["step"] + 5
        self.assertEqual(self.end(self.jumping(steps=last, **kinds)), 0, self.text())
        self.measured()
        self.train(name="straight", steps=last, **kinds)
        self.assertEqual(self.losses(), self.losses("straight"))
        self.assertEqual(self.model(), self.model("straight"))
        print(f"{kind}, {ranks} ranks: {self.jumps()} jumps, equal over {last} steps", flush=True)

    def stopped(self, rank):
        """It is found by what it does not say for 8 s."""
        process = self.jumping("deadlines.collective=8", "deadlines.step=0", ranks=4, kind="openmpi")
        self.await_true(lambda: self.jumps() >= 3, while_runs=process)
        pid = next(pid for pid in self.left() if self.rank_of(pid) == rank)
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        self.await_true(lambda: "FATAL" in self.text(), limit=60)
        print(f"rank {rank} was named {time.monotonic() - begin:.1f} s after it had been stopped", flush=True)
        self.assertNotEqual(self.end(process, limit=60), 0)
        self.assertEqual(re.findall(r"^FATAL rank=(\S+) .* code=(\S+) ", self.text(), re.M), [(str(rank), "76")], self.text())

    @unittest.skipIf(LONG, "the long form has more")
    def test_threads(self):
        self.undisturbed(2, "threads")

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_processes(self):
        self.undisturbed(4 if LONG else 2, "openmpi")

    @unittest.skipUnless(LONG, "--long")
    def test_a_process_and_threads(self):
        for ranks, kind in ((1, "alone"), (4, "threads")):
            self.undisturbed(ranks, kind)
            for name in ("run", "straight"):
                shutil.rmtree(self.folder / name)

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_a_stopped_rank(self):
        for rank in range(4) if LONG else (2,):
            self.stopped(rank)
            shutil.rmtree(self.folder / "run")


if __name__ == "__main__":
    small.main(clock="the library that makes clocks jump")
