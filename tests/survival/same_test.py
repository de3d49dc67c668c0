#!/usr/bin/env python3
"""What must not change a run changes no bit of it: same_test.py PROGRAM [unittest arguments]. Of as many ranks in one layout,
each run has the losses and the model of the first."""

import shutil
import unittest

import small
from small import Small

STEPS = 12
MPIRUN = shutil.which("mpirun") is not None


class Same(Small):
    def runs(self, ranks, *others):
        """`others`: who starts them, and settings."""
        self.train(ranks=ranks, kind="threads", steps=STEPS, name="first")
        for kind, *sets in others:
            if kind == "openmpi" and not MPIRUN:
                continue
            self.train(*sets, ranks=ranks, kind=kind, steps=STEPS, name="other")
            self.assertEqual(self.losses("other"), self.losses("first"), (ranks, kind, sets))
            self.assertEqual(self.model("other"), self.model("first"), (ranks, kind, sets))
            shutil.rmtree(self.folder / "other")

    def test_one_rank(self):
        self.runs(1, ("alone",), ("threads", "data.num_workers=4"), ("alone", "checkpoint.every=3"),
                  ("alone", "data.num_workers=1", "log.every=1"))

    def test_two_ranks(self):
        self.runs(2, ("threads",), ("openmpi",), ("openmpi", "data.num_workers=3", "checkpoint.every=5"))

    def test_four_ranks(self):
        self.runs(4, ("threads", "data.num_workers=1"), ("openmpi",), ("openmpi", "checkpoint.every=1"))


if __name__ == "__main__":
    small.main()
