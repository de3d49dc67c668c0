#!/usr/bin/env python3
"""`cornstarch-train selftest` with ranks as threads, as a user runs it: selftest_test.py PROGRAM [unittest arguments]."""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
COLLECTIVES = ["all_reduce sum", "all_reduce max", "broadcast", "all_gather", "reduce_scatter", "all_to_all"]
program = ""  # absolute path, from the command line


def selftest(*words):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    return subprocess.run([program, "selftest", *map(str, words)], capture_output=True, text=True, check=False, timeout=100,
                          env={**kept, "OMP_NUM_THREADS": "1"})


class SelfTest(unittest.TestCase):
    def test_a_table_for_people(self):
        done = selftest("--local-ranks", 4)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        host = re.escape(os.uname().nodename)
        time, rate = r" +[0-9.]+ (us|ms|s)", r" +[0-9.]+ [GM]B/s"
        expected = ["4 ranks on 1 host over threads, 4 MiB at a time", rf"  {host}: ranks 0, 1, 2, 3", ""]
        expected += [rf"  {name} *{time}{rate}   last rank [0-3] of {host}" for name in COLLECTIVES]
        expected += [rf"  link within a host *{time}{rate}   median of 12; slowest {time.lstrip(' +')}, rank [0-3] of {host} "
                     rf"to rank [0-3] of {host}", ""]
        lines = done.stdout.splitlines()
        for line, pattern in zip(lines, expected):
            self.assertRegex(line, rf"\A{pattern}\Z")
        # On a machine that does other things, too, some link may have waited for them.
        for line in lines[len(expected):]:
            self.assertRegex(line, r"\A(no link takes more than twice as long as the median of its kind|slow: rank .*)\Z")
        self.assertGreater(len(lines), len(expected))

    def test_json_for_programs(self):
        done = selftest("--local-ranks", 3, "--size", 1000, "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual(list(report), ["backend", "bytes", "hosts", "collectives", "links", "slow_links", "problems"])
        self.assertEqual((report["backend"], report["bytes"], report["hosts"]), ("threads", 996, 3 * [os.uname().nodename]))
        self.assertEqual([c["name"] for c in report["collectives"]], COLLECTIVES)
        self.assertEqual([(link["from"], link["to"]) for link in report["links"]],
                         [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)])
        for outcome in [*report["links"], *(rank for c in report["collectives"] for rank in c["ranks"])]:
            self.assertGreater(outcome["seconds"], 0)
            self.assertGreater(outcome["bytes_per_second"], 0)
        self.assertEqual(report["problems"], [])

    def test_one_rank(self):
        done = selftest()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[-1], "one rank has no links: start more with a launcher, or with --local-ranks")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
