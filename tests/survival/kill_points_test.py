#!/usr/bin/env python3
"""Runs in which one process is killed at each file operation of a save: kill_points_test.py PROGRAM --faults LIBRARY
[--long] [unittest arguments].

The next start goes on from the newest checkpoint, which is that save's or the one before, is killed in turn, and so on:
each start is a point. What the runs tell of their steps, and the model at the end, are those of a run that nobody
killed. So they are where the disk refuses one of the operations, which costs at most a checkpoint."""

import re
import shutil
import signal
import sys

import small
from small import Small, options

EVERY = 2
# One rank is watched by the library (tests/crash/file_faults.cpp), the others of a launcher are not.
WATCHED = 'test "${OMPI_COMM_WORLD_RANK:-0}" != "$WATCHED_RANK" || export LD_PRELOAD="$LIBRARY"; exec "$@"'


class KillPoints(Small):
    def watched(self, rank, steps=1_000_000, env=None, **kinds):
        command = self.command(f"checkpoint.every={EVERY}", f"checkpoint.keep={EVERY}", "resume=auto", steps=steps,
                               more=("sh", "-c", WATCHED, "sh"), **kinds)
        return self.start(*command, env={"LIBRARY": options.faults, "WATCHED_RANK": str(rank),
                                         "FAULTS_BELOW": str(self.folder / "run" / "checkpoints"), **(env or {})})

    def operations(self, rank, **kinds):
        """Of a start that takes away what a killed one left, saves, and removes an older checkpoint."""
        counted = self.folder / "counted"
        before = self.checkpoints()
        shutil.copytree(self.folder / "run" / "checkpoints" / f"step-{before[-1]:08}",
                        self.folder / "run" / "checkpoints" / f"step-{before[-1] + EVERY:08}.partial")
        steps = before[-1] + EVERY
        process = self.watched(rank, steps=steps, env={"FAULTS_COUNT": str(counted)}, **kinds)
        self.assertEqual(self.end(process), 0, self.text())
        self.assertEqual(self.checkpoints(), [before[-1], before[-1] + EVERY])
        return int(counted.read_text())

    def kill(self, at, how, rank, **kinds):
        """Returns which step the start went on from."""
        before = self.checkpoints()[-1]
        process = self.watched(rank, env={"FAULTS_AT": str(at), "FAULTS_KIND": how}, **kinds)
        code = self.end(process)
        if kinds["kind"] == "openmpi":
            self.assertRegex(self.text(), rf"exited on\s+signal 9 \(Killed\)|FATAL rank={rank} .* died")
        else:
            self.assertEqual(code, -signal.SIGKILL, self.text())
        # Not yet, where what the last one left was being removed.
        self.assertIn(re.findall(r"goes on behind step (\d+)\n", self.text()), ([str(before)], []))
        whole, partial = self.checkpoints()[-1], self.checkpoints(ending=".partial")
        # While rank 0 makes one whole, another rank may have begun with the next.
        self.assertLessEqual(set(partial), {whole + EVERY, whole + 2 * EVERY}, (at, how, rank, kinds))
        self.assertGreaterEqual(whole, before)
        return whole

    def series(self, ranks, kind, rank=0, how="kill", points=None):
        """So many points, spread over all operations; None: each of them. Returns their number."""
        kinds = {"ranks": ranks, "kind": kind}
        self.train(f"checkpoint.every={EVERY}", steps=2 * EVERY, **kinds)
        total = self.operations(rank, **kinds)
        ats = range(1, total + 1) if points is None else [1 + (2 * i + 1) * total // (2 * points) for i in range(points)]
        before, told, moved = self.checkpoints()[-1], [], set()
        for at in ats:
            whole = self.kill(at, how, rank, **kinds)
            moved.add(whole > before)
            before = whole
            told.append(((at, how, rank, kinds), self.losses()))
        if points is None:
            # Rank 0 is the one that makes the whole of them; the others' last operation comes before that.
            self.assertEqual(moved, {True, False} if rank == 0 else {False})
        last = before + EVERY + 1
        self.assertEqual(self.end(self.watched(rank, steps=last, **kinds)), 0, self.text())
        told.append((kinds, self.losses()))
        self.train(name="straight", steps=last + 2 * EVERY, **kinds)
        straight = self.losses("straight")
        for what, losses in told:
            self.assertGreater(len(losses), 0)
            self.assertEqual(losses, straight[:len(losses)], what)
        self.train(name="same", steps=last, **kinds)
        self.assertEqual(self.model(), self.model("same"))
        print(f"{kind}, {ranks} ranks, rank {rank}, {how}: {len(ats)} of {total} operations", flush=True)
        for name in ("run", "straight", "same"):
            shutil.rmtree(self.folder / name)
        return len(ats)

    def refusals(self, ranks, kind, how, points):
        """So many runs, in each of which the disk refuses one operation."""
        kinds = {"ranks": ranks, "kind": kind}
        saves = [EVERY, 2 * EVERY, 3 * EVERY]
        counted = self.folder / "counted"
        self.assertEqual(self.end(self.watched(0, steps=saves[-1], env={"FAULTS_COUNT": str(counted)}, **kinds)), 0)
        total, losses, model = int(counted.read_text()), self.losses(), self.model()
        lost = 0
        for at in (1 + (2 * i + 1) * total // (2 * points) for i in range(points)):
            shutil.rmtree(self.folder / "run")
            faults = {"FAULTS_AT": str(at), "FAULTS_KIND": how}
            self.assertEqual(self.end(self.watched(0, steps=saves[-1], env=faults, **kinds)), 0, self.text())
            self.assertEqual((self.losses(), self.model()), (losses, model), (at, how, kinds))
            warned = re.findall(r"the checkpoint of step (\d+) is not saved: .*; training goes on\n", self.text())
            whole = [step for step in saves if str(step) not in warned]
            self.assertLessEqual(len(warned), 1)
            self.assertTrue(set(whole[-2:]) <= set(self.checkpoints()), (at, how, kinds, self.text()))
            self.assertTrue(set(self.checkpoints()) <= set(whole), (at, how, kinds, self.text()))
            lost += len(warned)
        self.assertGreater(lost, 0)
        print(f"{kind}, {ranks} ranks, {how}: {points} of {total} operations, {lost} checkpoints lost", flush=True)
        shutil.rmtree(self.folder / "run")

    def test_a_few_points(self):
        self.series(1, "alone", points=3)
        self.series(4, "threads", points=2)
        self.refusals(1, "alone", "nospace", 2)
        if shutil.which("mpirun"):
            self.series(2, "openmpi", rank=1, points=2)


def add(name, *arguments):
    def test(self):
        getattr(self, name)(*arguments)
    setattr(KillPoints, "_".join(map(str, ("test", name, *arguments))), test)


if "--long" in sys.argv:
    del KillPoints.test_a_few_points
    # About 340 points.
    for case in ((1, "alone", 0, "kill", None), (2, "threads", 0, "kill", 40), (4, "threads", 0, "kill", 40),
                 (2, "openmpi", 0, "kill", 40), (2, "openmpi", 1, "kill", None), (4, "openmpi", 0, "kill", 25),
                 (4, "openmpi", 3, "kill", 25), (1, "alone", 0, "half", 30)):
        add("series", *case)
    for case in ((1, "alone", "nospace", 30), (1, "alone", "io", 30), (4, "threads", "nospace", 30)):
        add("refusals", *case)

if __name__ == "__main__":
    small.main(faults="the library that counts file operations")
