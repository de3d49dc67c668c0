#!/usr/bin/env python3
"""Runs on disks that may only be read, which nobody's rights change, or that are full for a while: disk_test.py PROGRAM
[unittest arguments].

What cannot be written is named, costs no more than itself, and nothing that was written is lost. The disks are mounted for
the run alone, in a namespace of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import small
from small import Small

ALONE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "sh", "-c"]
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
OF_2_MB = 'mount -t tmpfs -o size=2m none "$0" && exec "$@"'


def can_mount():
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*ALONE, OF_2_MB, "/mnt", "true"], capture_output=True, check=False).returncode == 0


class Disk(Small):
    def read_only(self, folder, *sets, code, **kinds):
        """What a run says where `folder` is read-only, but for how it trains."""
        process = self.start(*self.command(*sets, before=(*ALONE, READ_ONLY, str(folder)), **kinds))
        self.assertEqual(self.end(process), code, self.text())
        said = re.findall(r"^(?:\d\d:\d\d:\d\d )?((?:warning|error).*\n(?:  help: .*\n)?)", self.text(), re.M)
        return "".join(said)

    def test_a_run_folder_that_is_read_only(self):
        closed = self.folder / "closed"
        closed.mkdir()
        self.assertEqual(self.read_only(closed, name="closed/run", code=74),
                         f"error: cannot write '{closed / 'run'}': Read-only file system\n")
        run = self.folder / "run"
        self.train("checkpoint.every=2", steps=4)
        before, model = self.losses(), self.model()
        self.assertEqual(self.read_only(run, "checkpoint.every=2", "resume=auto", steps=6, code=74),
                         f"error: cannot write '{run / '.owner'}': Read-only file system\n")
        self.assertEqual((self.losses(), self.model(), self.checkpoints()), (before, model, [2, 4]))

    def test_a_checkpoint_folder_that_is_read_only(self):
        closed = self.folder / "closed"
        closed.mkdir()
        where = closed / "checkpoints"
        saving = ("checkpoint.every=2", f"checkpoint.dir={where}")
        said = self.read_only(closed, *saving, steps=4, ranks=2, kind="threads", code=0)
        first, *rest = said.splitlines()
        self.assertEqual(first, f"warning [rank 0] cannot write '{where}': Read-only file system; nothing keeps another run out of "
                                "the checkpoint folder")
        self.assertEqual(sorted(rest), [f"warning [rank {rank}] the checkpoint of step {step} is not saved: cannot make "
                                        f"'{where}/step-{step:08}.partial': Read-only file system; training goes on"
                                        for rank in (0, 1) for step in (2, 4)])
        self.train(name="straight", steps=4, ranks=2, kind="threads")
        self.assertEqual((self.losses(), self.model()), (self.losses("straight"), self.model("straight")))
        said = self.read_only(closed, *saving, "checkpoint.on_error=fail", name="strict", steps=4, code=74)
        self.assertIn(f"error: the checkpoint of step 2 is not saved: cannot make '{where}/step-00000002.partial': Read-only file "
                      "system\n  help: checkpoint.on_error: warn goes on without it\n", said)

    def test_data_that_is_read_only(self):
        data = self.folder / "data"
        data.mkdir()
        shutil.move(self.folder / "train.jsonl", data)
        where = f"data.train=[{{path: {data / 'train.jsonl'}}}]"
        self.assertEqual(self.read_only(data, where, steps=2, code=0), "")
        self.assertEqual(os.listdir(data), ["train.jsonl"])
        self.train(where, name="straight", steps=2)
        self.assertEqual(self.losses(), self.losses("straight"))

    def test_a_model_that_cannot_be_written_loses_no_state(self):
        self.train("checkpoint.every=2", steps=4)
        model = self.folder / "run" / "model"
        shutil.rmtree(model)
        model.mkdir()
        going_on = ("checkpoint.every=2", "resume=auto")
        said = self.read_only(model, *going_on, steps=6, code=74)
        self.assertRegex(said, rf"\nerror: cannot write '{model}/.*': Read-only file system\n")
        self.assertNotIn("run folder: ", self.text())
        self.assertEqual(self.checkpoints(), [4, 6])
        self.train(*going_on, steps=6)
        self.train(name="straight", steps=6)
        self.assertEqual((self.losses(), self.model()), (self.losses("straight"), self.model("straight")))

    def test_a_disk_that_is_full_for_a_while(self):
        every, disk = 20, self.folder / "disk"
        disk.mkdir()
        process = self.start(*self.command(f"checkpoint.every={every}", name="disk/run", before=(*ALONE, OF_2_MB, str(disk))))
        inside = Path(f"/proc/{process.pid}/root{disk}")

        def saved():
            return sorted(int(p.name[5:]) for p in inside.glob("run/checkpoints/step-*") if p.suffix == "")

        self.await_true(lambda: len(saved()) > 1, while_runs=process)
        with open(inside / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        refused = r"the checkpoint of step (\d+) is not saved: cannot write '.*': No space left on device; training goes on\n"
        self.await_true(lambda: len(re.findall(refused, self.text())) > 1, while_runs=process)
        first = int(re.findall(refused, self.text())[0])
        self.assertEqual(saved(), [first - 2 * every, first - every])
        (inside / "filler").unlink()
        self.await_true(lambda: saved()[-1] > first, while_runs=process)
        # Cut short is the line at which the disk was full, if any, and one that is being written.
        whole = [line for line in (inside / "run" / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
        told = [json.loads(line)["step"] for line in whole]
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.end(process), 75, self.text())
        said = self.text()
        self.assertEqual(said.count(f"cannot write '{disk}/run/metrics.jsonl': No space left on device; training goes on without "
                                    "such lines\n"), 1, said)
        lost = int(re.search(r"warning \[rank 0\] (\d+) lines of metrics.jsonl are lost\n", said)[1])
        self.assertGreater(lost, every)
        self.assertEqual(told[-1] - len(told), lost)
        self.assertEqual(told, sorted(set(told)))


if __name__ == "__main__":
    if not can_mount():
        print("skipped: this machine lets nobody mount a file system of their own (unshare --mount)")
        sys.exit(77)
    small.main()
