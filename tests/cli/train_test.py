#!/usr/bin/env python3
"""Trains a few steps of the demo's model on the example's five samples: train_test.py PROGRAM [unittest arguments]."""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
program = ""  # absolute path, from the command line


def environment():
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    return {**kept, "OMP_NUM_THREADS": "1"}


class Training(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-train-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        shutil.copytree(EXAMPLE, self.data)

    def command(self, *extra, name="run", steps=3, layout=("--local-ranks", "4"), config="demo.yaml",
                launcher=(), tokenizer=None):
        data = self.data / "conversations.jsonl"
        files = f"[{{path: {data}, media_root: {self.data}}}]"
        return [*launcher, program, "--config", str(ROOT / "configs" / config), *layout, "--set", f"run_dir={self.folder / name}",
                "--set", f"steps={steps}", "--set", f"data.train={files}", "--set", f"data.eval={files}",
                "--set", f"data.tokenizer={tokenizer or self.data / 'tokenizer.json'}", "--set", "lr_schedule.warmup_steps=1",
                "--set", "batch.global_size=8", "--set", "batch.microbatch_size=2", *extra]

    def train(self, *extra, code=0, **kinds):
        done = subprocess.run(self.command(*extra, **kinds), capture_output=True, text=True, env=environment(),
                              timeout=120, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def metrics(self, name="run"):
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if "loss" in r], [r for r in records if "eval_loss" in r]

    def test_deterministic_is_kept_and_changes_nothing_on_a_cpu(self):
        one = ("--layout", "single")
        self.train(layout=one, name="as-ever")
        done = self.train("--set", "deterministic=true", layout=one)
        self.assertNotIn("deterministic", done.stderr)
        for key, name in (("true", "run"), ("false", "as-ever")):
            self.assertIn(f"\ndeterministic: {key}\n", (self.folder / name / "config.yaml").read_text())
        losses = [[(s["loss"], s["grad_norm"]) for s in self.metrics(name)[0]] for name in ("run", "as-ever")]
        self.assertEqual(*losses)
        models = [sorted((self.folder / name / "model").rglob("*.safetensors")) for name in ("run", "as-ever")]
        self.assertEqual(*([file.read_bytes() for file in files] for files in models))
        self.assertEqual(len(models[0]), 5)

    def test_a_run_leaves_metrics_plan_config_and_the_model(self):
        self.train()
        steps, evaluations = self.metrics()
        self.assertEqual(list(steps[0]), ["time", "step", "loss", "grad_norm", "lr", "tokens", "target_tokens", "step_time_s",
                                          "tokens_per_s", "model_flops", "model_flops_full_attention"])
        self.assertGreater(steps[0]["model_flops_full_attention"], steps[0]["model_flops"])
        self.assertEqual([s["stage"] for s in steps[1]["previous_step"]],
                         ["vision stage 0", "audio stage 0", "llm stage 0", "llm stage 1"])
        for stage in steps[1]["previous_step"]:
            self.assertGreater(stage["compute_s"], 0)
        self.assertEqual([r["step"] for r in steps], [1, 2, 3])
        self.assertLess(steps[2]["loss"], steps[0]["loss"])
        self.assertEqual(evaluations[-1]["eval_samples"], 5)
        run = self.folder / "run"
        self.assertEqual(json.loads((run / "plan.json").read_text())["world_size"], 4)
        encoder = ["config.json", "model.safetensors", "preprocessor_config.json", "projector.safetensors",
                   "projector_config.json"]
        llm = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        for modality, files in {"vision": encoder, "audio": encoder, "llm": llm}.items():
            self.assertEqual(sorted(p.name for p in (run / "model" / modality).iterdir()), files)
        again = subprocess.run([program, "validate", "--config", str(run / "config.yaml")], capture_output=True,
                               text=True, env=environment(), check=False)
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_layouts_have_the_same_losses(self):
        self.train(name="threads")
        self.train(name="single", layout=("--layout", "single"))
        self.train("--set", "model.llm.parallel.tp=2", name="wide", layout=("--local-ranks", "12"))
        self.train("--set", "sharding=zero3", name="shared", layout=("--layout", "single", "--local-ranks", "2"))
        reference, _ = self.metrics("single")
        for name in ("threads", "wide", "shared"):
            steps, _ = self.metrics(name)
            for a, b in zip(steps, reference, strict=True):
                self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])
                self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-4 * b["grad_norm"])
                self.assertEqual((a["tokens"], a["target_tokens"]), (b["tokens"], b["target_tokens"]))

    def test_frozen_encoders_from_the_folders_of_a_run(self):
        self.train()
        model = self.folder / "run" / "model"
        folders = ("--set", f"model.encoders.vision.pretrained={model / 'vision'}", "--set",
                   f"model.encoders.audio.pretrained={model / 'audio'}")
        self.train(*folders, name="frozen", config="demo-frozen.yaml")
        self.train(*folders, "--set", "sharding=zero3", name="shared", config="demo-frozen.yaml",
                   layout=("--layout", "single", "--local-ranks", "2"))
        for name in ("frozen", "shared"):
            for modality in ("vision", "audio"):
                before = (model / modality / "model.safetensors").read_bytes()
                after = (self.folder / name / "model" / modality / "model.safetensors").read_bytes()
                self.assertEqual(before, after, (name, modality))

    def read_json(self, *parts):
        return json.loads(self.folder.joinpath(*parts).read_text())

    def test_what_lies_beside_weights_says_what_the_run_did(self):
        (self.data / "tokenizer_config.json").unlink()
        self.train(steps=1)
        model = self.folder / "run" / "model"
        self.assertEqual((model / "llm" / "tokenizer.json").read_bytes(), (self.data / "tokenizer.json").read_bytes())
        self.assertEqual(self.read_json(model, "llm", "tokenizer_config.json"),
                         {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>",
                          "add_bos_token": False, "clean_up_tokenization_spaces": False, "model_max_length": 128})
        self.assertEqual(self.read_json(model, "llm", "generation_config.json"), {"eos_token_id": 1, "pad_token_id": 0})
        self.assertEqual(self.read_json(model, "llm", "config.json")["torch_dtype"], "float32")
        picture = self.read_json(model, "vision", "preprocessor_config.json")
        self.assertEqual((picture["image_processor_type"], picture["size"], picture["crop_size"], picture["resample"]),
                         ("CLIPImageProcessor", {"shortest_edge": 32}, {"height": 32, "width": 32}, 3))
        sound = self.read_json(model, "audio", "preprocessor_config.json")
        self.assertEqual((sound["feature_extractor_type"], sound["feature_size"], sound["chunk_length"]),
                         ("WhisperFeatureExtractor", 40, 1))
        self.assertEqual(self.read_json(model, "vision", "projector_config.json"),
                         {"type": "mlp", "activation": "gelu", "input_size": 64, "output_size": 96,
                          "feature_layer": -1, "feature_select": "patch"})

    def test_files_that_were_given_go_along_as_they_are(self):
        self.train(steps=1)
        first, given = self.folder / "run" / "model", {}
        for folder, name, text in ((first / "vision", "preprocessor_config.json",
                                    '{"size": 40, "crop_size": 32, "image_mean": [0.5, 0.5, 0.5]}'),
                                   (first / "llm", "generation_config.json", '{"eos_token_id": 1, "top_k": 7}'),
                                   (first / "llm", "special_tokens_map.json", '{"eos_token": "</s>"}'),
                                   (first / "llm", "chat_template.jinja", "{{ messages }}"),
                                   (first / "llm", "vocab.json", "{}"),
                                   (first / "llm", "tokenizer_config.json", '{"eos_token": "</s>", "note": 1}')):
            (folder / name).write_text(text)
            given[folder.name, name] = text
        self.train(name="second", steps=1, config=self.second_stage(first), tokenizer=first / "llm" / "tokenizer.json")
        for (modality, name), text in given.items():
            self.assertEqual((self.folder / "second" / "model" / modality / name).read_text(), text)

    def test_special_tokens_of_the_config_go_along(self):
        self.train("--set", "data.eos_token=<pad>", steps=1)
        first = self.folder / "run" / "model"
        self.assertEqual(self.read_json(first, "llm", "tokenizer_config.json")["eos_token"], "<pad>")
        self.assertEqual(self.read_json(first, "llm", "generation_config.json"), {"eos_token_id": 0, "pad_token_id": 0})
        (first / "llm" / "tokenizer_config.json").write_text('{"eos_token": "</s>", "note": 1}')
        (first / "llm" / "generation_config.json").write_text('{"eos_token_id": 1, "top_k": 7}')
        self.train("--set", "data.eos_token=<pad>", name="second", steps=1, config=self.second_stage(first),
                   tokenizer=first / "llm")
        second = self.folder / "second" / "model" / "llm"
        self.assertEqual(self.read_json(second, "tokenizer_config.json"), {"eos_token": "<pad>", "note": 1})
        self.assertEqual(self.read_json(second, "generation_config.json"), {"eos_token_id": [1, 0], "top_k": 7})
        self.assertEqual((second / "tokenizer.json").read_bytes(), (self.data / "tokenizer.json").read_bytes())

    def second_stage(self, model):
        """The demo's config with the weights of a run."""
        folders = iter(("vision", "audio", "llm"))
        text = re.sub(r"config: \{[^}]*\}", lambda _: f"pretrained: {model / next(folders)}",
                      (ROOT / "configs" / "demo.yaml").read_text())
        (self.folder / "second.yaml").write_text(text)
        return self.folder / "second.yaml"

    def test_a_second_stage_goes_on_with_the_very_weights_of_the_first(self):
        # SGD has no state, and every step takes the same ten samples: a second run's steps are those that a longer
        # first one would take.
        still = ("--set", "optimizer={type: sgd, lr: 0.1, weight_decay: 0.1}", "--set", "lr_schedule={type: constant}",
                 "--set", "data.shuffle=false", "--set", "batch.global_size=10", "--set", "batch.microbatch_size=5",
                 "--overwrite")
        one, two = ("--layout", "single"), ("--layout", "single", "--local-ranks", "2")
        tied = ("--set", "model.llm.config.tie_word_embeddings=true")
        for layout, settings, of_first, steps in (
                (one, ("precision=fp32", "export_dtype=same"), (), 3), (one, ("precision=bf16", "export_dtype=same"), (), 1),
                (one, ("precision=bf16", "export_dtype=fp32"), tied, 3),
                (two, ("precision=bf16", "export_dtype=fp32", "sharding=zero3"), tied, 3),
                (("--local-ranks", "8"), ("precision=bf16", "export_dtype=fp32", "sharding=zero1"), tied, 3)):
            with self.subTest(layout=layout, settings=settings):
                common = (*still, *(word for s in settings for word in ("--set", s)))
                self.train(*common, *of_first, name="long", steps=5, layout=layout)
                self.train(*common, *of_first, name="first", steps=2, layout=layout)
                model = self.folder / "first" / "model"
                self.train(*common, name="second", steps=3, layout=layout, config=self.second_stage(model),
                           tokenizer=model / "llm" / "tokenizer.json")
                expected = [(s["loss"], s["grad_norm"]) for s in self.metrics("long")[0][2:2 + steps]]
                self.assertEqual([(s["loss"], s["grad_norm"]) for s in self.metrics("second")[0][:steps]], expected)
                self.assertEqual(self.read_json(model, "llm", "config.json")["torch_dtype"],
                                 "bfloat16" if settings == ("precision=bf16", "export_dtype=same") else "float32")

    def test_chosen_steps_are_traced_over_all_ranks(self):
        self.train("--trace", "2..3", steps=4)
        events = json.loads((self.folder / "run" / "trace.json").read_text())["traceEvents"]
        spans = [e for e in events if e["ph"] == "X"]
        names = {(e["pid"], e["args"]["name"]) for e in events if e["name"] == "process_name"}
        self.assertEqual(names, {(0, "rank 0: vision stage 0, dp 0, cp 0, tp 0"),
                                 (1, "rank 1: audio stage 0, dp 0, cp 0, tp 0"),
                                 (2, "rank 2: llm stage 0, dp 0, cp 0, tp 0"),
                                 (3, "rank 3: llm stage 1, dp 0, cp 0, tp 0")})
        forwards = [e["name"] for e in spans if e["pid"] == 3 and e["name"].startswith("forward")]
        self.assertEqual(forwards, 2 * [f"forward llm stage 1, microbatch {m}" for m in range(4)])
        refused = self.train("--trace", "3..2", name="other", code=2)
        self.assertIn("--trace: '3..2' is no step and no range of steps", refused.stderr)

    def test_a_run_folder_is_not_written_over(self):
        self.train(steps=1)
        for layout in (("--local-ranks", "4"), ("--layout", "single")):
            refused = self.train(steps=1, code=2, layout=layout)
            self.assertIn(f"the run folder '{self.folder / 'run'}' already holds a run", refused.stderr)
            self.assertIn("pass --overwrite to move the old run aside, or --set run_dir=... for another folder",
                          refused.stderr)
        self.train("--overwrite", steps=1)
        self.assertTrue((self.folder / "run.old-1" / "metrics.jsonl").exists())

    def start(self, *extra, steps=100000, signals_after=1, **kinds):
        """A run in the background, once it has so many lines of metrics; what it says goes to a file."""
        self.said = self.folder / "said"
        with open(self.said, "w") as said:
            process = subprocess.Popen(self.command(*extra, steps=steps, **kinds), env=environment(),
                                       stdout=subprocess.DEVNULL, stderr=said)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        metrics = self.folder / kinds.get("name", "run") / "metrics.jsonl"
        self.await_true(lambda: metrics.exists() and metrics.read_text().count("\n") >= signals_after)
        return process

    def test_a_run_folder_has_one_owner(self):
        first = self.start()
        host = os.uname().nodename
        for extra in ((), ("--overwrite",)):
            refused = self.train(*extra, steps=1, code=2)
            self.assertRegex(refused.stderr, rf"error: (rank 0: )?the run folder '{self.folder / 'run'}' is in use by process {first.pid} on "
                                             rf"{host}, since .* UTC\n  help: wait for the end of that run, or --set run_dir=")
        self.assertFalse((self.folder / "run.old-1").exists())
        first.send_signal(signal.SIGKILL)
        first.wait()
        self.train("--overwrite", steps=1)
        self.assertTrue((self.folder / "run.old-1" / "metrics.jsonl").exists())

    def test_a_reader_of_stderr_that_goes_away_ends_no_run(self):
        run = subprocess.Popen(self.command(), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        run.stderr.close()
        self.assertEqual(run.wait(timeout=120), 0)
        self.assertEqual(len(self.metrics()[0]), 3)
        self.assertIn("run folder: ", (self.folder / "run" / "log.txt").read_text())

    def test_a_run_folder_that_vanishes_is_said_and_the_state_saved_all_the_same(self):
        run = self.start()
        shutil.rmtree(self.folder / "run")
        lost = f"'{self.folder / 'run'}/metrics.jsonl' was deleted or moved while the run writes to it"
        self.await_true(lambda: lost in self.said.read_text())
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(timeout=120), 75)
        self.assertRegex(self.said.read_text(), r"warning \[rank 0\] \d+ lines of metrics.jsonl are lost\n")
        self.assertEqual(len(self.checkpoints("run")), 1)

    def await_true(self, condition, limit=120):
        deadline = time.monotonic() + limit
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.said.read_text())
            time.sleep(0.05)

    def log(self, name):
        return (self.folder / name / "log.txt").read_text()

    def files(self, name, folder="model"):
        root = self.folder / name / folder
        return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def checkpoints(self, name):
        """The steps that a run has whole checkpoints of."""
        found = (self.folder / name / "checkpoints").glob("step-*/manifest.json")
        names = (p.parent.name.removeprefix("step-") for p in found)
        return sorted(int(name) for name in names if name.isdigit())

    def state(self, name, step):
        """What the ranks' parts of a checkpoint hold."""
        return {p: content for p, content in self.files(name, f"checkpoints/step-{step:08}").items() if p.name != "manifest.json"}

    def test_a_signal_ends_the_run_after_the_step_with_the_state_saved(self):
        for layout, number in ((("--local-ranks", "4"), signal.SIGINT), (("--layout", "single"), signal.SIGTERM),
                               (("--layout", "single"), signal.SIGHUP), (("--layout", "single"), signal.SIGUSR1)):
            name = f"stop-{number}"
            process = self.start(name=name, layout=layout)
            process.send_signal(number)
            # A scheduler learns that the run can be started again.
            self.assertEqual(process.wait(timeout=60), 130 if number == signal.SIGINT else 75, self.said.read_text())
            steps, _ = self.metrics(name)
            word = signal.Signals(number).name
            again = "; Ctrl-C again ends at once" if number == signal.SIGINT else ""
            self.assertIn(f"{word} received: the step under way is finished, then the state is saved{again}\n",
                          self.said.read_text())
            self.assertIn(f"stopped by {word} after step {len(steps)}; --resume goes on from there\n", self.said.read_text())
            self.assertEqual(self.checkpoints(name), [len(steps)])

    # Steps of these take long beside the grace, of which half is for them; the rate is the same in shorter runs.
    DROPPING = ("--set", "stop.grace_seconds=0.002", "--set", "batch.global_size=32", "--set", "batch.microbatch_size=1",
                "--set", "lr_schedule.type=constant")

    def check_dropped(self, name):
        steps, _ = self.metrics(name)
        self.assertIn(f"stopped by SIGTERM after step {len(steps)}; the step behind it was dropped; --resume goes on from "
                      "there\n", self.log(name))
        self.train(*self.DROPPING, "--set", f"checkpoint.every={len(steps)}", name="same", steps=len(steps))
        self.assertEqual(self.state(name, len(steps)), self.state("same", len(steps)))

    def test_a_step_that_would_outlast_the_grace_is_dropped_and_the_one_before_is_saved(self):
        process = self.start(*self.DROPPING)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 75, self.said.read_text())
        self.assertIn("SIGTERM received: killed in 0.002 s: a step that would take too long is dropped, then the state "
                      "is saved\n", self.said.read_text())
        self.check_dropped("run")

    @unittest.skipUnless(shutil.which("mpirun"), "there is no mpirun")
    def test_under_mpirun_the_first_signal_is_heard_long_before_sigterm(self):
        mpirun = (str(ROOT / "scripts" / "mpirun-local"), "--mca", "odls_base_sigkill_timeout", "60", "-n", "4")
        process = self.start(*self.DROPPING, layout=(), launcher=mpirun)
        process.send_signal(signal.SIGINT)
        # What ranks say from now on is not passed on until mpirun has waited.
        self.await_true(lambda: "run folder: " in self.log("run"), limit=50)
        self.assertIn("mpirun begins to end this run: killed in 0.002 s", self.log("run"))
        self.check_dropped("run")
        process.kill()

    def test_a_reader_that_goes_away_does_not_end_the_run(self):
        process = subprocess.Popen(self.command(steps=3), env=environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        process.stderr.close()
        self.assertEqual(process.wait(timeout=120), 0)
        log = (self.folder / "run" / "log.txt").read_text()
        self.assertIn("\nstep 3/3  loss ", log)
        self.assertTrue(log.endswith(f"run folder: {self.folder / 'run'}\n"), log)

    def test_the_log_is_what_was_said_and_quiet_runs_say_nothing(self):
        said = self.train("--set", "log.every=2", "--set", "optimizer.momentum=0.9", steps=5, name="loud").stderr
        self.assertIn("warning: 'optimizer.momentum' has no effect with adamw", said)
        self.assertEqual((self.folder / "loud" / "log.txt").read_text(), said)
        self.assertEqual([line.split("/")[0] for line in said.splitlines() if line.startswith("step ")],
                         ["step 1", "step 2", "step 4", "step 5"])
        self.assertEqual(self.train("--quiet", steps=2, name="quiet").stderr, "")
        self.assertIn("\nstep 2/2  loss ", (self.folder / "quiet" / "log.txt").read_text())

    def test_the_run_folder_says_what_it_was_made_with(self):
        self.train(steps=1)
        versions = json.loads((self.folder / "run" / "versions.json").read_text())
        self.assertEqual(set(versions) - {"commit", "CUDA", "gpu"},
                         {"cornstarch-train", "compiler", "yaml-cpp", "CLI11", "spdlog", "nlohmann-json", "LibTorch",
                          "messages", "host", "system", "processor", "cores", "launcher", "ranks"})
        self.assertEqual((versions["messages"], versions["launcher"], versions["ranks"]), ("threads", "--local-ranks", 4))
        steps, _ = self.metrics()
        self.assertRegex(steps[0]["time"], r"\A20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ\Z")

    def test_losses_that_are_no_numbers_are_not_learnt_from_and_too_many_end_the_run(self):
        steep = ("--set", "lr_schedule.warmup_steps=0", "--set", "lr_schedule.type=constant")
        failed = self.train("--set", "optimizer.lr=1e30", *steep, steps=9, code=80)
        self.assertRegex(failed.stderr, r"warning \[rank 0\] step 2: loss nan, gradient norm nan is not finite; the first such "
                                        r"gradient is that of vision/\S+; it comes from several samples, the first of them "
                                        r"\S+/conversations\.jsonl:[1-8]: nothing is learnt from it \(1 in a row, of at most "
                                        r"3\)\n")
        self.assertRegex(failed.stderr, r"error: (rank [0-9]: )?step 5: loss nan, gradient norm nan is not finite; the first such ")
        self.assertEqual(self.checkpoints("run"), [5])
        self.assertEqual(self.files("run"), {})
        lines = [json.loads(line) for line in (self.folder / "run" / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([r.get("left_out", False) for r in lines], [False, True, True, True, True])
        # A state that is not finite itself is never written, neither on the way nor as a model.
        for extra in (("--set", "checkpoint.every=1"), ()):
            failed = self.train("--set", "optimizer.lr=1e39", "--set", "data.eval=[]", *steep, *extra, name=f"inf-{len(extra)}",
                                steps=1, code=80)
            self.assertRegex(failed.stderr, r"the model is not written: \S+ is not finite\n")
            self.assertEqual(self.checkpoints(f"inf-{len(extra)}"), [])
            self.assertEqual(self.files(f"inf-{len(extra)}"), {})
        self.assertRegex(self.log("inf-2"), r"the checkpoint of step 1 is not saved: \S+ is not finite; training goes on\n")

    def test_a_held_out_loss_that_is_no_number_is_said_and_in_the_end_the_model_is_not_written(self):
        failed = self.train("--set", "optimizer.lr=1e30", "--set", "lr_schedule.warmup_steps=0", "--set", "eval.every=1",
                            "--set", "lr_schedule.type=constant", "--set", "optimizer.max_bad_steps=9", steps=2, code=80)
        self.assertEqual(failed.stderr.count("step 1: the held-out loss is not finite\n"), 1, failed.stderr)
        self.assertRegex(failed.stderr, r"error: (rank [0-9]: )?step 2: the held-out loss is not finite; the model is not "
                                        r"written\n  help: lower optimizer.lr, or add warm-up\n")
        self.assertEqual([r["eval_loss"] for r in self.metrics()[1]], [None, None])
        self.assertEqual((self.checkpoints("run"), self.files("run")), ([2], {}))

    def test_weights_that_are_no_numbers_are_named_and_never_saved(self):
        self.train(steps=1)
        llm = self.folder / "run" / "model" / "llm"
        file = llm / "model.safetensors"
        sound = file.read_bytes()
        (size,) = struct.unpack_from("<Q", sound)
        offsets = {name: entry["data_offsets"][0] for name, entry in json.loads(sound[8:8 + size]).items() if name != "__metadata__"}
        one = ("--layout", "single")
        # The last token's embedding, which no sample has, and a weight that every sample meets.
        for name, at, warned in (("model.embed_tokens.weight", 4 * (400 * 96 - 1), False), ("model.norm.weight", 0, True)):
            begin = 8 + size + offsets[name] + at
            file.write_bytes(sound[:begin] + struct.pack("<f", float("inf")) + sound[begin + 4:])
            failed = self.train("--set", f"model.llm.pretrained={llm}", "--set", "model.llm.config=null", "--set", "checkpoint.every=1",
                                "--set", "data.eval=[]", "--overwrite", name="again", layout=one, steps=2, code=80)
            self.assertIn(f"the model is not written: llm/{name} is not finite\n", failed.stderr)
            self.assertIn(f"the checkpoint of step 1 is not saved: parameter/llm/{name} is not finite; training goes on\n",
                          failed.stderr)
            self.assertEqual("nothing is learnt from it" in failed.stderr, warned, failed.stderr)
            self.assertEqual((self.checkpoints("again"), self.files("again", "model/llm")), ([], {}))

    def test_a_bad_sample_ends_the_run_or_is_counted(self):
        (self.data / "seven.png").write_bytes((self.data / "seven.png").read_bytes()[:60])
        failed = self.train(code=65)
        self.assertIn("seven.png", failed.stderr)
        self.assertIn("conversations.jsonl:", failed.stderr)
        self.train("--set", "data.on_bad_sample=skip", "--set", "data.max_bad_fraction=1", name="skip")
        self.train("--set", "data.on_bad_sample=skip", "--set", "data.max_bad_fraction=1", name="skip-single", layout=("--layout", "single"))
        # Tokens have been dealt to ranks before the others say that a sample is bad.
        self.train("--set", "data.on_bad_sample=skip", "--set", "data.max_bad_fraction=1", "--set", "model.llm.parallel.sp=2", "--set",
                   "model.llm.parallel.mode=ring_attn", "--set", "model.llm.parallel.distribution=uniform", name="skip-split",
                   layout=("--local-ranks", "6"))
        single, _ = self.metrics("skip-single")
        for name in ("skip", "skip-split"):
            for a, b in zip(self.metrics(name)[0], single, strict=True):
                self.assertGreater(a["skipped_samples"], 0)
                self.assertEqual((a["skipped_samples"], a["tokens"]), (b["skipped_samples"], b["tokens"]))
                self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])

    def test_split_and_packed_samples_have_the_same_losses_and_answers(self):
        split = ["model.llm.parallel.distribution=zigzag"]
        for modality, sp, mode in (("encoders.vision", 2, "ring_attn"), ("encoders.audio", 3, "ring"), ("llm", 2, "ring")):
            split += [f"model.{modality}.parallel.sp={sp}", f"model.{modality}.parallel.mode={mode}"]
        packed = ["batch.packing=microbatch"]
        for mask, values, ranks in (("causal", split, 9), ("causal", packed, 4), ("image_bidirectional", split + packed, 9),
                                    ("modality_isolated", split, 9)):
            with self.subTest(mask=mask, values=values):
                masked = ("--set", f"model.llm.attention_mask={mask}", "--overwrite")
                self.train(*masked, name="single", layout=("--layout", "single"))
                self.train(*masked, *(word for value in values for word in ("--set", value)), name="parallel",
                           layout=("--local-ranks", str(ranks)))
                steps, (answers,) = self.metrics("parallel")
                reference, (expected,) = self.metrics("single")
                for a, b in zip(steps, reference, strict=True):
                    self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])
                    self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-4 * b["grad_norm"])
                    self.assertEqual((a["tokens"], a["target_tokens"]), (b["tokens"], b["target_tokens"]))
                self.assertAlmostEqual(answers["eval_loss"], expected["eval_loss"], delta=1e-5 * expected["eval_loss"])
                self.assertEqual(answers["eval_samples"], expected["eval_samples"])
                self.assertEqual(answers["eval_accuracy"], expected["eval_accuracy"])

    def test_rows_that_are_packed_are_full_and_the_same_in_every_layout(self):
        length = 256
        packed = ("--set", "batch.packing=first_fit", "--set", f"batch.sequence_length={length}", "--set",
                  f"model.llm.config.max_position_embeddings={length}", "--overwrite")
        self.train(*packed, name="single", layout=("--layout", "single"))
        reference, _ = self.metrics("single")
        for sets, ranks in (((), 4), (("batch.microbatch_size=1",), 8)):
            self.train(*packed, *(word for value in sets for word in ("--set", value)), name="parallel",
                       layout=("--local-ranks", str(ranks)))
            for a, b in zip(self.metrics("parallel")[0], reference, strict=True):
                self.assertGreater(a["tokens"], 0.97 * 8 * length)
                self.assertEqual((a["tokens"], a["target_tokens"]), (b["tokens"], b["target_tokens"]))
                self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * b["loss"])
        plan = json.loads((self.folder / "parallel" / "plan.json").read_text())
        self.assertEqual(plan["step"]["packing"], "first_fit")

    def test_memory_that_a_process_may_not_have_is_said(self):
        """From address space in which LibTorch does not even start, before any line of ours, to more than a run takes."""
        outcomes = set()
        for mib in range(400, 8000, 100):
            if 0 in outcomes:
                break
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            done = subprocess.run(self.command(steps=1, launcher=("sh", "-c", f'ulimit -v {mib * 1024}; exec "$@"', "sh")),
                                  capture_output=True, text=True, env=environment(), timeout=120, check=False)
            if done.returncode in (127, -signal.SIGABRT) and "ranks = " not in done.stderr:
                continue
            if "could not create a primitive" in done.stderr:
                continue  # oneDNN does not say why
            outcomes.add(done.returncode)
            if done.returncode != 0:
                self.assertEqual(done.returncode, 71, (mib, done.stderr))
                self.assertRegex(done.stderr, r"error: (rank [0-9]: )?(out of memory|could not start its thread: )")
        self.assertEqual(outcomes, {0, 71})

    def test_a_world_that_does_not_fit(self):
        refused = self.train(code=78, layout=("--local-ranks", "5"))
        self.assertIn("world size 5 is not a multiple of the 4 ranks of one replica", refused.stderr)
        self.assertIn("4 or 8", refused.stderr)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
