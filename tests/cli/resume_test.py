#!/usr/bin/env python3
"""Runs that are ended early and go on: resume_test.py PROGRAM [unittest arguments]."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
import unittest.mock
from pathlib import Path

import train_test
from train_test import Training


class Resuming(Training):
    SAVING = ("--set", "checkpoint.every=2", "--set", "checkpoint.keep=9")

    def begun(self, name, step, of="whole"):
        """A run that got as far as the checkpoint of `step`, and a little further."""
        source, target = self.folder / of, self.folder / name
        (target / "checkpoints").mkdir(parents=True)
        shutil.copytree(source / "checkpoints" / f"step-{step:08}", target / "checkpoints" / f"step-{step:08}")
        lines = (source / "metrics.jsonl").read_text().splitlines(keepends=True)
        (target / "metrics.jsonl").write_text("".join(lines[:step + 1]) + lines[step + 1][:20])

    def losses(self, name):
        steps, evaluations = self.metrics(name)
        return ([(r["step"], r["loss"], r["grad_norm"], r["lr"], r["tokens"]) for r in steps],
                [(r["step"], r["eval_loss"]) for r in evaluations])

    def test_a_run_that_goes_on_is_the_run_that_was_never_interrupted(self):
        self.train(*self.SAVING, steps=6, name="whole")
        self.assertEqual(self.checkpoints("whole"), [2, 4, 6])
        self.begun("again", 2)
        said = self.train(*self.SAVING, "--resume", steps=6, name="again").stderr
        self.assertIn("goes on behind step 2\n", said)
        self.assertEqual(self.losses("again"), self.losses("whole"))
        # The step before a run's first was another's, whose times it does not know.
        self.assertEqual(["previous_step" in r for r in self.metrics("again")[0]], [False, True, False, True, True, True])
        self.assertEqual(self.state("again", 6), self.state("whole", 6))
        self.assertEqual(self.files("again"), self.files("whole"))

    def test_another_layout_goes_on(self):
        self.train(*self.SAVING, steps=6, name="whole")
        self.begun("again", 4)
        said = self.train("--resume", steps=6, name="again", layout=("--layout", "single", "--local-ranks", "2")).stderr
        self.assertIn("layout: separate -> single", said)
        (was, _), (is_now, _) = self.losses("whole"), self.losses("again")
        self.assertEqual(len(is_now), 6)
        for a, b in zip(was, is_now):
            self.assertAlmostEqual(a[1], b[1], delta=1e-5 * a[1])

    def test_a_modality_may_come_and_go_and_it_is_said(self):
        data = self.data / "conversations.jsonl"
        data.write_text("".join(line for line in data.read_text().splitlines(keepends=True) if "audio" not in line))
        single = {"layout": ("--layout", "single"), "name": "run"}
        self.train(*self.SAVING, steps=2, **single)
        where = self.folder / "run" / "checkpoints"
        gone = self.train("--resume", "--set", "model.encoders.audio=null", *self.SAVING, steps=4, **single).stderr
        self.assertIn(f"what '{where}/step-00000002' has of audio is left out: this run has no such modality\n", gone)
        self.assertNotIn("\nparameter/audio/", self.checkpoint("show", where / "step-00000004"))
        back = self.train("--resume", *self.SAVING, steps=6, **single).stderr
        self.assertIn(f"nothing of audio is in '{where}/step-00000004': it begins with its first values\n", back)
        self.assertIn("\nparameter/audio/", self.checkpoint("show", where / "step-00000006"))
        self.assertEqual([r[0] for r in self.losses("run")[0]], [1, 2, 3, 4, 5, 6])

    def test_a_chain_of_stops_changes_nothing(self):
        pace = ("--set", "lr_schedule.type=constant", "--set", "eval.every=7")
        process = self.start(*pace, name="chain", signals_after=2)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(timeout=60), 75, self.said.read_text())
        done = len(self.metrics("chain")[0])
        for _ in range(2):
            process = self.start(*pace, "--resume", name="chain", signals_after=done + 3)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=60), 75, self.said.read_text())
            done = len(self.metrics("chain")[0])
        self.train(*pace, "--resume", name="chain", steps=done + 2)
        self.train(*pace, name="straight", steps=done + 2)
        self.assertEqual(self.losses("chain"), self.losses("straight"))
        self.assertEqual(self.files("chain"), self.files("straight"))

    def test_frozen_layers_are_referred_to_and_rates_may_change(self):
        self.train(steps=1)
        parts = ("--set", f"model.llm.pretrained={self.folder / 'run' / 'model' / 'llm'}", "--set", "model.llm.config=null",
                 "--set", "model.llm.train_except=[model.embed_tokens, model.layers.0]",
                 "--set", "model.llm.optimizer.lr=2.0e-4", *self.SAVING)
        self.train(*parts, steps=4, name="whole")
        self.begun("again", 2)
        manifest = json.loads((self.folder / "whole" / "checkpoints" / "step-00000002" / "manifest.json").read_text())
        self.assertEqual([r["modality"] for r in manifest["references"]], ["llm"])
        shown = self.checkpoint("show", self.folder / "whole" / "checkpoints" / "step-00000002")
        self.assertIn("\nparameter/llm/model.layers.1.", shown)
        self.assertNotRegex(shown, r"/llm/model\.(embed_tokens|layers\.0)\.")
        self.train(*parts, "--resume", steps=4, name="again")
        self.assertEqual(self.losses("again"), self.losses("whole"))
        self.assertEqual(self.state("again", 4), self.state("whole", 4))
        self.begun("slower", 2)
        said = self.train(*parts, "--resume", "--set", "model.llm.optimizer.lr=1.0e-4", "--set",
                          "model.llm.optimizer.weight_decay=0", steps=4, name="slower").stderr
        self.assertIn("model.llm.optimizer.lr: 2.0e-04 -> 1.0e-04; model.llm.optimizer.weight_decay: nothing -> 0.0", said)
        self.assertNotEqual(self.state("slower", 4), self.state("whole", 4))

    def test_what_is_frozen_is_hashed_before_a_signal_comes(self):
        """Who is about to be killed has no time for it."""
        self.train(steps=1)
        model = self.folder / "run" / "model"
        process = self.start("--set", f"model.encoders.vision.pretrained={model / 'vision'}", "--set",
                             f"model.encoders.audio.pretrained={model / 'audio'}", name="frozen", config="demo-frozen.yaml",
                             signals_after=3)
        for modality in ("vision", "audio"):
            (model / modality / "model.safetensors").unlink()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 75, self.said.read_text())
        manifest = self.folder / "frozen" / "checkpoints" / f"step-{len(self.metrics('frozen')[0]):08}" / "manifest.json"
        self.assertEqual([(r["modality"], sorted(f["name"] for f in r["files"]))
                          for r in json.loads(manifest.read_text())["references"]],
                         [(m, ["model.safetensors", "projector.safetensors"]) for m in ("vision", "audio")])

    def test_only_whole_checkpoints_count_and_why_is_said(self):
        self.train(*self.SAVING, steps=6, name="whole")
        self.begun("again", 2)
        folder = self.folder / "again" / "checkpoints"
        shutil.copytree(self.folder / "whole" / "checkpoints" / "step-00000004", folder / "step-00000004")
        shutil.copytree(self.folder / "whole" / "checkpoints" / "step-00000006", folder / "step-00000006")
        shutil.copytree(self.folder / "whole" / "checkpoints" / "step-00000006", folder / "step-00000008.partial")
        (folder / "step-00000006" / "manifest.json").unlink()
        data = folder / "step-00000004" / "rank-00003.safetensors"
        content = bytearray(data.read_bytes())
        content[-1] ^= 1
        data.write_bytes(content)
        said = self.train("--resume", steps=6, name="again").stderr
        self.assertIn(f"no checkpoint: '{folder / 'step-00000006'}' has no manifest.json\n", said)
        self.assertRegex(said, f"left out: '{data}': tensor [a-z_]+/llm/[a-z0-9._]+ is not what was written: its hash differs\n")
        self.assertIn("goes on behind step 2\n", said)
        self.assertEqual(self.losses("again")[0], self.losses("whole")[0])
        self.assertFalse((folder / "step-00000008.partial").exists())

    def test_ranks_of_which_one_finds_a_bad_byte_go_on_from_an_older_one_together(self):
        sharded = ("--set", "sharding=zero1")
        layout = ("--layout", "single", "--local-ranks", "2")
        self.train(*self.SAVING, *sharded, steps=6, name="whole", layout=layout)
        self.begun("again", 2)
        folder = self.folder / "again" / "checkpoints"
        shutil.copytree(self.folder / "whole" / "checkpoints" / "step-00000004", folder / "step-00000004")
        data = folder / "step-00000004" / "rank-00001.safetensors"
        data.write_bytes(data.read_bytes()[:-1] + b"\x55")
        said = self.train(*self.SAVING, *sharded, "--resume", "--set", "checkpoint.keep=1", steps=6, name="again", layout=layout).stderr
        self.assertRegex(said, rf"warning \[rank 1\] left out: '{data}': tensor ")
        self.assertIn("goes on behind step 2\n", said)
        self.assertEqual(self.losses("again"), self.losses("whole"))
        # The bad one takes no good one's place.
        self.assertEqual(self.checkpoints("again"), [6])

    def children(self, process):
        return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]

    def kill_now_and_then(self, name, times, victim):
        """Kills what `victim` finds whenever the run has come a few steps further."""
        for _ in range(times):
            done = len(self.metrics(name)[0])
            self.await_true(lambda: len(self.metrics(name)[0]) > done + 2)
            pid = victim()
            os.kill(pid, signal.SIGKILL)
            self.await_true(lambda: not Path(f"/proc/{pid}").exists() or
                            Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")

    PACE = ("--set", "lr_schedule.type=constant", "--set", "eval.every=1000000", "--set", "checkpoint.every=2")

    def test_a_run_that_is_killed_starts_again_by_itself(self):
        process = self.start(*self.PACE, "--restarts", "5", name="killed", steps=60)
        self.kill_now_and_then("killed", 5, lambda: self.children(process)[0])
        self.assertEqual(process.wait(timeout=120), 0, self.said.read_text())
        self.assertEqual(self.said.read_text().count("the run ended with SIGKILL: it starts again behind step "), 5)
        self.train(*self.PACE, name="straight", steps=60)
        self.assertEqual(self.losses("killed"), self.losses("straight"))
        self.assertEqual(self.files("killed"), self.files("straight"))

    def test_faults_that_come_again_are_not_tried_again(self):
        (self.data / "seven.png").write_bytes(b"no picture")
        said = self.train("--restarts", "5", code=65).stderr
        self.assertNotIn("starts again", said)
        process = self.start(*self.PACE, "--restarts", "5", "--set", "data.on_bad_sample=skip", "--set",
                             "data.max_bad_fraction=1", name="stopped")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 75, self.said.read_text())
        self.assertNotIn("starts again", self.said.read_text())
        self.assertEqual(self.checkpoints("stopped")[-1], len(self.metrics("stopped")[0]))

    def test_no_progress_ends_it(self):
        process = self.start(*self.PACE[:4], "--restarts", "2", name="stuck")
        for _ in range(3):
            self.await_true(lambda: self.children(process))
            os.kill(self.children(process)[0], signal.SIGKILL)
            time.sleep(0.3)
        self.assertEqual(process.wait(timeout=60), 137, self.said.read_text())
        self.assertIn("the run ended with SIGKILL, and 2 restarts at its first step brought no newer checkpoint\n",
                      self.said.read_text())

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_a_launcher_is_started_again_by_the_script(self):
        scripts = train_test.ROOT / "scripts"
        launcher = (str(scripts / "keep-running"), "--restarts", "5", "--", str(scripts / "mpirun-local"), "-n", "4")
        process = self.start(*self.PACE, name="looped", steps=60, layout=(), launcher=launcher)
        self.kill_now_and_then("looped", 2, lambda: self.owner("looped"))
        self.assertEqual(process.wait(timeout=180), 0, self.said.read_text())
        self.assertEqual(self.said.read_text().count("keep-running: exit code "), 2, self.said.read_text())
        self.train(*self.PACE, name="straight", steps=60)
        self.assertEqual(self.losses("looped"), self.losses("straight"))
        self.assertEqual(self.files("looped"), self.files("straight"))

    @unittest.skipUnless(shutil.which("mpirun") and "FILE_FAULTS" in os.environ, "needs mpirun, and FILE_FAULTS to name the library of tests/crash")
    def test_a_rank_that_fails_says_so_before_its_disk_is_done(self):
        """A part takes some ten file operations of 3 s. The next checkpoint, which would wait for it, is 200 steps away."""
        checkpoints = self.folder / "slow" / "checkpoints"
        faults = {"LD_PRELOAD": os.environ["FILE_FAULTS"], "FAULTS_BELOW": str(checkpoints / "step"), "FAULTS_KIND": "slow",
                  "FAULTS_AT": "1", "FAULTS_STAYS": "1"}
        with unittest.mock.patch.dict(os.environ, faults):
            process = self.start("--set", "lr_schedule.type=constant", "--set", "checkpoint.every=200", name="slow", layout=(),
                                 launcher=(str(train_test.ROOT / "scripts" / "mpirun-local"), "-n", "4"))
        self.await_true(lambda: list(checkpoints.glob("step-*.partial")))
        (self.data / "seven.png").unlink()
        begin = time.monotonic()
        self.await_true(lambda: "FATAL rank=" in self.said.read_text())
        self.assertLess(time.monotonic() - begin, 3, self.said.read_text())
        self.assertIn("seven.png", self.said.read_text())
        process.terminate()  # mpirun takes its ranks and their shared memory with it
        process.wait(timeout=60)

    def owner(self, name):
        """The process that writes a run's metrics: rank 0."""
        metrics = str(self.folder / name / "metrics.jsonl")
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if any(os.readlink(fd) == metrics for fd in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:
                pass
        return self.owner(name)

    def checkpoint(self, *words, code=0):
        done = subprocess.run([train_test.program, "checkpoint", *map(str, words)], capture_output=True, text=True,
                              env=train_test.environment(), check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def test_what_was_saved_is_listed_checked_shown_and_exported(self):
        self.train(*self.SAVING, steps=4, name="whole")
        run = self.folder / "whole"
        newest = run / "checkpoints" / "step-00000004"
        self.assertRegex(self.checkpoint("list", run), r"^step-00000004  32 samples  4 ranks  [0-9.]+ MiB\n"
                                                       r"step-00000002  16 samples  4 ranks  [0-9.]+ MiB\n$")
        self.assertRegex(self.checkpoint("verify", run), rf"^{newest} is whole: [0-9]+ tensors of 4 parts, [0-9.]+ MiB\n$")
        shown = self.checkpoint("show", newest)
        self.assertIn("step 4, 32 samples, written by 4 ranks of cornstarch-train ", shown)
        self.assertRegex(shown, r"\nparameter/llm/model\.norm\.weight  F32 \[[0-9]+\]\n")
        self.checkpoint("export", run, "--to", self.folder / "model")
        self.assertEqual(self.files("model", "."), self.files("whole"))
        data = newest / "rank-00000.safetensors"
        data.write_bytes(data.read_bytes()[:-1] + b"\x55")
        self.assertRegex(self.checkpoint("verify", newest, code=65), f"error: '{data}': tensor [a-z_]+/vision/.* its hash differs\n")
        shutil.rmtree(newest)
        self.assertIn("step-00000002", self.checkpoint("verify", run))
        self.assertEqual(self.checkpoint("list", self.folder, code=66),
                         f"error: there is no checkpoint in '{self.folder}'\n"
                         "  help: give a run's folder, or its folder of checkpoints\n")

    def test_what_cannot_go_on_says_why(self):
        missing = self.train("--resume", code=66).stderr
        self.assertIn(f"there is no whole checkpoint in '{self.folder / 'run' / 'checkpoints'}'\n"
                      "  help: --resume goes on from one; without it, the run begins at its first step\n", missing)
        self.train("--set", "resume=auto", *self.SAVING, steps=2, name="auto")
        where = self.folder / "auto" / "checkpoints" / "step-00000002"
        seed = self.train("--resume", "--set", "seed=7", steps=4, name="auto", code=2).stderr
        self.assertIn(f"the run cannot go on from '{where}' with another seed: 1234 -> 7\n", seed)
        conversations = self.data / "conversations.jsonl"
        lines = conversations.read_text().splitlines(keepends=True)
        conversations.write_text("".join(lines[:-1]))
        fewer = self.train("--resume", steps=4, name="auto", code=2).stderr
        self.assertIn(f"the run cannot go on from '{where}': data.train has {len(lines) - 1} samples and had "
                      f"{len(lines)}, whose order is another\n", fewer)
        conversations.write_text("".join(lines))
        frozen = self.train("--resume", "--set", "model.encoders.vision.train.encoder=false", steps=4, name="auto", code=2)
        self.assertRegex(frozen.stderr, f"[0-9]+ parameters of vision trained in '{where}' and do not train here")
        layer = self.train("--resume", "--set", "model.llm.train_except=[model.layers.0]", steps=4, name="auto", code=2)
        self.assertIn(f"9 parameters of llm trained in '{where}' and do not train here, the first of them "
                      "model.layers.0.input_layernorm.weight", layer.stderr)
        self.train("--set", "resume=auto", steps=4, name="auto")
        self.assertEqual([r[0] for r in self.losses("auto")[0]], [1, 2, 3, 4])
        twice = self.train(steps=4, name="auto", code=2).stderr
        self.assertIn("already holds a run", twice)

    def test_a_disk_that_refuses_costs_a_checkpoint_not_the_run(self):
        wall = self.folder / "wall"
        wall.write_text("a file where a folder is wanted")
        said = self.train(*self.SAVING, "--set", f"checkpoint.dir={wall}/checkpoints", steps=3).stderr
        self.assertRegex(said, r"the checkpoint of step 2 is not saved: cannot make '.*': Not a directory; training goes on\n")
        self.assertEqual(len(self.losses("run")[0]), 3)
        failed = self.train(*self.SAVING, "--set", f"checkpoint.dir={wall}/checkpoints", "--set", "checkpoint.on_error=fail",
                            name="strict", code=74).stderr
        self.assertIn("the checkpoint of step 2 is not saved: cannot make", failed)

    def test_a_folder_of_checkpoints_is_one_run_s(self):
        shared = self.folder / "shared"
        into = (*self.SAVING, "--set", f"checkpoint.dir={shared}")
        first = self.start(*into, "--set", "lr_schedule.type=constant", name="first")
        for extra in ((), ("--resume",)):
            said = self.train(*into, *extra, name="second", code=2).stderr
            self.assertRegex(said, rf"error: (rank 0: )?the checkpoint folder '{shared}' is in use by process {first.pid} on .*, since .* UTC\n"
                                   r"  help: wait for the end of that run, or give checkpoint.dir another folder\n")
            self.assertFalse((self.folder / "second").exists())
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(timeout=60), 75, self.said.read_text())
        self.assertIn(f"'{shared}' holds checkpoints of a run\n", self.train(*into, name="second", code=2).stderr)

    def test_keep_and_minutes(self):
        self.train("--set", "checkpoint.every=1", "--set", "checkpoint.keep=2", "--set", "checkpoint.keep_every=3", steps=7,
                   name="kept")
        self.assertEqual(self.checkpoints("kept"), [3, 6, 7])
        self.train("--set", "checkpoint.every_minutes=1e-9", "--set", "checkpoint.keep=9", steps=3, name="timed")
        self.assertEqual(self.checkpoints("timed"), [1, 2, 3])


def load_tests(loader, *_):
    return loader.loadTestsFromNames([f"{__name__}.Resuming.{name}" for name in vars(Resuming) if name.startswith("test_")])


if __name__ == "__main__":
    train_test.program = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
