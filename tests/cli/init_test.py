#!/usr/bin/env python3
"""What `cornstarch-train init` writes passes `validate`, from flags and from answers: init_test.py PROGRAM [unittest arguments]."""

import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

import model_folders

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
program = ""  # absolute path, from the command line


class Init(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-init-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name, config, tensors in (("clip", model_folders.TINY_CLIP, model_folders.clip_tensors),
                                      ("llm", {**model_folders.TINY_LLAMA, "max_position_embeddings": 512},
                                       model_folders.llama_tensors)):
            model_folders.write_model(self.folder / name, config, tensors(config), dtype="F32")
        shutil.copytree(ROOT / "tests" / "golden" / "models" / "whisper", self.folder / "whisper")
        shutil.copy(EXAMPLE / "tokenizer.json", self.folder / "llm")
        (self.folder / "data.jsonl").write_text(
            json.dumps({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "yes"}]}) + "\n")

    def run_program(self, *words, code=0, **kinds):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120, check=False, cwd=self.folder,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr.replace(f"{self.folder}/", "")

    def test_what_it_writes_is_valid(self):
        for gpus in (None, 1, 2, 8):
            for encoders in (["--vision", "clip"], ["--vision", "clip", "--audio", "whisper"], []):
                with self.subTest(gpus=gpus, encoders=encoders):
                    counted = ["--gpus", gpus] if gpus else []
                    said, _ = self.run_program("init", "--llm", "llm", *encoders, "--data", "data.jsonl", *counted, "--force")
                    self.assertEqual(said, "run.yaml: written. Look it through, then: cornstarch-train validate --config run.yaml\n")
                    text = (self.folder / "run.yaml").read_text()
                    self.assertEqual("\ndevice: cuda\n" in text, bool(gpus))
                    self.assertEqual("\nsharding: zero3" in text, (gpus or 1) > 1)
                    cpu = ["--set", "device=cpu"]
                    self.assertIn("run.yaml: valid\n", self.run_program("validate", "--config", "run.yaml", *cpu)[0])
                    smallest = len(encoders) // 2 + 1
                    world = max(gpus or 1, smallest)
                    self.run_program("plan", "--config", "run.yaml", "--world-size", gpus or 1, *cpu)
                    if world % smallest == 0:
                        self.run_program("plan", "--config", "run.yaml", "--world-size", world, "--layout", "separate", *cpu,
                                         "--set", "sharding=none")

    def test_frozen_encoders_a_projector_that_learns_faster_and_the_familys_template(self):
        self.run_program("init", "--llm", "llm", "--vision", "clip", "--audio", "whisper", "--data", "data.jsonl", "--out", "mine.yaml")
        text = (self.folder / "mine.yaml").read_text()
        for line in ("      train: {encoder: false, projector: true}", "      projector: {type: mlp, activation: gelu}",
                     "      optimizer: {projector: {lr: 1.0e-3}}  # it begins at random", "      feature_select: patch\n",
                     '      placeholder: "<image>"', '      placeholder: "<audio>"', 'run_dir: "runs/mine"\n',
                     f'    - path: "{self.folder}/data.jsonl"\n', "#   cornstarch-train validate --config mine.yaml\n"):
            self.assertIn(line, text)

    def test_a_config_that_is_there_stays(self):
        (self.folder / "run.yaml").write_text("mine\n")
        self.assertEqual(self.run_program("init", "--llm", "llm", code=2)[1],
                         "error: 'run.yaml' is there already\n  help: another --out, or --force\n")
        self.assertEqual((self.folder / "run.yaml").read_text(), "mine\n")

    def test_every_folder_that_will_not_do_is_named(self):
        (self.folder / "whole").mkdir()
        (self.folder / "whole" / "config.json").write_text('{"model_type": "llava"}')
        (self.folder / "odd").mkdir()
        (self.folder / "odd" / "config.json").write_text('{"model_type": "bert"}')
        said = self.run_program("init", "--llm", "clip", "--vision", "whole", "--audio", "odd", code=2)[1]
        self.assertIn("error: --vision: 'whole' holds a whole checkpoint (llava)\n  help: cornstarch-train import --hf whole --out FOLDER\n", said)
        self.assertIn("error: --audio: 'odd' holds a model of type 'bert', which is no family of ours\n  help: known: clip_vision_model, ", said)
        self.assertIn("error: --llm: 'clip' holds a model of family clip_vision_model\n  help: it is one for --vision\n", said)
        self.assertFalse((self.folder / "run.yaml").exists())
        self.assertEqual(self.run_program("init", code=2)[1],
                         "error: init: --llm is missing\n  help: --llm FOLDER; in a terminal, init asks for what it needs\n")

    def test_answers_do_as_well_as_flags(self):
        self.run_program("init", "--llm", "llm", "--vision", "clip", "--data", "data.jsonl", "--gpus", 2)
        wanted = (self.folder / "run.yaml").read_text()
        (self.folder / "run.yaml").unlink()
        ours, theirs = pty.openpty()
        answers = "\nclip\nllm\nclip\n\nnowhere\ndata.jsonl\nx\n2\n"  # with slips: each is asked again
        with subprocess.Popen([program, "init"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd=self.folder) as asking:
            os.close(theirs)
            os.write(ours, answers.encode())
            said, complaints = asking.communicate(timeout=60)
        os.close(ours)
        self.assertEqual(asking.returncode, 0, complaints)
        self.assertIn("Folder of the language model: ", said)
        for problem in ("it is one for --vision", "there is no 'nowhere'", "expected a whole number from 1 up, got 'x'"):
            self.assertIn(problem, complaints)
        self.assertEqual((self.folder / "run.yaml").read_text(), wanted)


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
