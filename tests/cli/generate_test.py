#!/usr/bin/env python3
"""Trains a few steps of the demo's model on the example's samples, and asks it: generate_test.py PROGRAM [unittest
arguments]."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MPI_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
program = ""  # absolute path, from the command line


def environment():
    return {**{k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}, "OMP_NUM_THREADS": "1"}


class Asking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="cornstarch-generate-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.run_folder = cls.folder / "run"
        files = f"[{{path: {EXAMPLE / 'conversations.jsonl'}, media_root: {EXAMPLE}}}]"
        cls.common = [f"data.train={files}", f"data.eval={files}", f"data.tokenizer={EXAMPLE / 'tokenizer.json'}",
                      "lr_schedule={type: constant}", "optimizer.lr=3e-3"]
        # Enough steps on five samples for their answers to be known by heart.
        cls.train(cls.run_folder, "steps=60", "batch.global_size=5", "batch.microbatch_size=5", words=("--layout", "single"))

    @classmethod
    def train(cls, run, *sets, words=()):
        sets = [word for each in (*cls.common, f"run_dir={run}", *sets) for word in ("--set", each)]
        cls.execute("--config", ROOT / "configs" / "demo.yaml", *words, *sets)

    @classmethod
    def execute(cls, *words, code=0, stdin=""):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, env=environment(), input=stdin,
                              timeout=300, check=False)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def ask(self, *words, model=None, **kinds):
        return self.execute("generate", "--model", model or self.run_folder, *words, **kinds)

    def samples(self):
        return [json.loads(line) for line in (EXAMPLE / "conversations.jsonl").read_text().splitlines()]

    def first(self):
        sample = next(s for s in self.samples() if "image" in s and "audio" not in s)
        return sample["conversations"][0]["value"], EXAMPLE / sample["image"], sample["conversations"][1]["value"]

    def test_a_model_says_what_it_was_taught(self):
        question, image, answer = self.first()
        done = self.ask("--image", image, "--prompt", question)
        self.assertEqual(done.stdout.strip(), answer)
        unmarked = question.replace("<image>", "").strip()
        self.assertEqual(self.ask("--image", image, "--prompt", unmarked, "--precision", "fp64").stdout.strip(), answer)

    def test_questions_are_answered_line_by_line_and_scored(self):
        questions, answers = self.folder / "questions.jsonl", self.folder / "answers.jsonl"
        lines = (EXAMPLE / "conversations.jsonl").read_text().splitlines()
        lines += ["{\"question\": 3}", "", json.dumps({"question": "<image>", "image": "nowhere.png"})]
        questions.write_text("\n".join(lines) + "\n")
        done = self.ask("--questions", questions, "--media-root", EXAMPLE, "--out", answers)
        self.assertIn(f" warning {questions}:{len(lines) - 2}: 'question' must be text, not a number\n", done.stderr)
        self.assertRegex(done.stderr, rf" warning {questions}:{len(lines)}: .*nowhere.png")
        self.assertRegex(done.stderr, r"5 questions answered, 2 lines left out; exact match 1\.0000, token F1 1\.0000 over 5 with "
                                      "a right answer\n")
        rows = [json.loads(line) for line in answers.read_text().splitlines()]
        self.assertEqual([r["line"] for r in rows], [1, 2, 3, 4, 5])
        for row, sample in zip(rows, self.samples()):
            self.assertEqual(row["answer"], sample["conversations"][-1]["value"].strip())
            self.assertEqual((row["exact_match"], row["f1"]), (1, 1))
        none = self.folder / "none.jsonl"
        none.write_text("[]\n")
        self.assertIn(f"error: none of the 1 questions in '{none}' can be answered\n", self.ask("--questions", none, code=65).stderr)

    def held_out_answers(self, run):
        return [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]

    def test_held_out_answers_are_those_of_generate_whatever_the_layout(self):
        sets = ("steps=40", "precision=fp64", "eval={every: 20, generate: 4, generate_tokens: 5}", "batch.global_size=4",
                "batch.microbatch_size=2", "checkpoint.every=20")
        layouts = {"one": ("--layout", "single"), "two": ("--layout", "single", "--local-ranks", 2), "four": ("--local-ranks", 4)}
        for name, words in layouts.items():
            self.train(self.folder / name, *sets, words=words)
        one = self.held_out_answers(self.folder / "one")
        self.assertEqual([(each["step"], each["sample"]) for each in one],
                         [(step, f"{EXAMPLE / 'conversations.jsonl'}:{line}") for step in (20, 40) for line in (1, 2, 3, 4)])
        for name in layouts:
            self.assertEqual(self.held_out_answers(self.folder / name), one, name)
        self.assertNotEqual([each["answer"] for each in one[:4]], [each["answer"] for each in one[4:]])
        questions, answers = self.folder / "held-out.jsonl", self.folder / "said.jsonl"
        questions.write_text("".join(line + "\n" for line in (EXAMPLE / "conversations.jsonl").read_text().splitlines()[:4]))
        self.ask("--questions", questions, "--media-root", EXAMPLE, "--out", answers, "--precision", "fp64", "--max-tokens", 5,
                 model=self.folder / "one")
        said = [json.loads(line) for line in answers.read_text().splitlines()]
        self.assertEqual([{k: v for k, v in each.items() if k != "line"} for each in said],
                         [{k: v for k, v in each.items() if k not in ("step", "sample")} for each in one[4:]])
        # Resumed behind the first measurement, a run has the lines of the second one once.
        shutil.rmtree(self.folder / "two" / "checkpoints" / "step-00000040")
        self.train(self.folder / "two", *sets, words=(*layouts["two"], "--resume"))
        self.assertEqual(self.held_out_answers(self.folder / "two"), one)

    def test_what_is_drawn_is_a_function_of_the_seed(self):
        def drawn(seed):
            return self.ask("--prompt", "Say something.", "--temperature", 5, "--top-p", "0.99", "--seed", seed, "--max-tokens", 12).stdout
        self.assertEqual(drawn(1), drawn(1))
        self.assertNotEqual(drawn(1), drawn(2))

    def test_a_conversation_is_read_from_standard_input(self):
        question, image, answer = self.first()
        unmarked = question.replace("<image>", "").strip()
        # A file that cannot be read goes with its question.
        done = self.ask(stdin=f"/image nowhere.png\n{unmarked}\n/image {image}\n{unmarked}\n/new\n/image {image}\n{unmarked}\n"
                              "/quit\nno more\n")
        self.assertEqual(done.stdout.splitlines(), [answer, answer])
        self.assertIn("nowhere.png", done.stderr)
        self.assertIn("the files that came since the last answer are forgotten", done.stderr)

    def test_an_llm_folder_alone_and_what_cannot_be_asked(self):
        self.ask("--prompt", "Hello", "--max-tokens", 3, model=self.run_folder / "model" / "llm")
        for words, code, message in (
                (("--model", self.folder / "nothing", "--prompt", "x"), 66,
                 f"error: there is no run, config or model folder '{self.folder / 'nothing'}'\n"),
                (("--model", self.folder, "--prompt", "x"), 66,
                 f"error: '{self.folder}' holds neither a run (config.yaml) nor a model (config.json)\n"),
                (("--model", ROOT / "configs" / "demo.yaml", "--prompt", "x"), 2,
                 f"error: {ROOT / 'configs' / 'demo.yaml'}: model.encoders.vision, model.encoders.audio, model.llm name no weights "
                 "(pretrained): there is no model to ask\n"),
                (("--model", self.run_folder / "model" / "llm", "--image", EXAMPLE / "seven.png", "--prompt", "x"), 65,
                 "error: 'image' lists 1 files, but no encoder of the model takes image files\n"),
                (("--model", self.run_folder, "--prompt", "many words " * 100), 2, "none is left for an answer\n"),
                (("--model", self.run_folder, "--prompt", "x", "--top-p", "1.5"), 2,
                 "error: --top-p: expected a number above 0 and up to 1, got '1.5'\n")):
            with self.subTest(words=words):
                self.assertIn(message, self.execute("generate", *words, code=code).stderr)
        whole = self.folder / "llava"
        shutil.copytree(ROOT / "tests" / "golden" / "wholes" / "llava", whole)
        self.assertIn("tokenizer.json", self.ask("--prompt", "x", model=whole, code=66).stderr)
        shutil.copy(EXAMPLE / "tokenizer.json", whole)
        self.ask("--prompt", "x", "--image", whole / "0.png", "--max-tokens", 3, model=whole)
        run = self.folder / "unfinished"
        run.mkdir()
        shutil.copy(self.run_folder / "config.yaml", run)
        self.assertIn(f"error: the run in '{run}' has not written its model yet\n", self.ask("--prompt", "x", model=run, code=66).stderr)
        model = self.folder / "without-tokenizer"
        shutil.copytree(self.run_folder / "model" / "llm", model)
        (model / "tokenizer.json").unlink()
        self.assertIn("tokenizer.json", self.ask("--prompt", "x", model=model, code=66).stderr)

    def test_mistakes_are_told(self):
        text, empty, questions = self.folder / "text.png", self.folder / "empty.jsonl", self.folder / "one.jsonl"
        text.write_text("hello")
        empty.write_text("\n")
        questions.write_text('{"question": "What?"}\n')
        for words, code, message in (
                (("--image", text, "--prompt", "x"), 65, f"error: '{text}': "),
                (("--image", self.folder / "no.png", "--prompt", "x"), 66, f"error: cannot read '{self.folder / 'no.png'}': No such file or directory\n"),
                (("--questions", self.folder / "no.jsonl"), 66, f"error: cannot read '{self.folder / 'no.jsonl'}': No such file or directory\n"),
                (("--questions", empty), 65, f"error: '{empty}' asks nothing\n  help: each line of it is a question: "),
                (("--questions", questions, "--prompt", "x"), 2,
                 "error: generate: --questions goes without --prompt, --system, --image and --audio\n"),
                (("--questions", questions, "--out", self.folder), 74, f"error: cannot write '{self.folder}': Is a directory\n"),
                (("--prompt", "x", "--out", "y"), 2, "error: generate: --out and --media-root belong to --questions\n"),
                (("--prompt", "x", "--temperature", "hot"), 2, "error: --temperature: expected a number from 0 to 100, got 'hot'\n"),
                (("--prompt", "x", "--seed", "1.5"), 2, "error: --seed: expected a whole number from 0 up, got '1.5'\n"),
                (("--prompt", "x", "--chat-template", "lama3"), 2, "lama3"),
                (("--prompt", "x", "--max-tokens", "0"), 2, "--max-tokens"),
                (("--prompt", "x", "--chat-template", "gemma"), 65,
                 "error: the chat template 'gemma' needs '<start_of_turn>', '<end_of_turn>', ")):
            with self.subTest(words=words):
                self.assertIn(message, self.ask(*words, code=code).stderr)
        self.assertIn("error: generate: --model is missing\n", self.execute("generate", "--prompt", "x", code=2).stderr)

    def test_lines_that_cannot_be_used_are_told_with_their_place(self):
        questions = self.folder / "wrong.jsonl"
        (self.folder / "text.png").write_text("hello")
        lines = ((b'{"question": "What?"', "not JSON at byte 21: "),
                 (b'{"question": ["a", "b"]}', "not one question but several\n"),
                 (b'{"question": "a", "system": ["b", "c"]}', "not one 'system' but several\n"),
                 (b'{"question": "a", "answers": {"b": 1}}', "'answers' must be text, not an object\n"),
                 ('{"question": "a \ufdd0"}'.encode(), "'question' has a code point of U+FDD0 to U+FDD2, which are no characters\n"),
                 (b'{"question": "\xff"}', "not JSON at byte 15: "),
                 (b'{"question": "<image>", "image": "../seven.png"}', "'../seven.png' is refused: "),
                 (b'{"question": "<image><image>", "image": "text.png"}', "'image' lists 1 files"),
                 (b'{"question": "a", "image": "text.png"}', "'text.png': "),
                 (b'{"question": "a", "video": "a.mp4"}', "no encoder of the model takes video files\n"),
                 (json.dumps({"question": "many words " * 100}).encode(), "positions: none is left for an answer\n"),
                 (b'{"conversations": [{"from": "gpt", "value": "a"}]}', "nothing is asked in front of the answer\n"),
                 (b'{"id": 3}', "the sample has no list 'conversations' or 'messages' of turns\n"))
        questions.write_bytes(b"".join(line + b"\n" for line, _ in lines) + b'{"question": "What?"}\n')
        done = self.ask("--questions", questions, "--max-tokens", 2)
        for number, (_, message) in enumerate(lines, 1):
            with self.subTest(message=message):
                self.assertRegex(done.stderr, re.escape(f" warning {questions}:{number}: ") + ".*" + re.escape(message))
        self.assertIn(f"1 question answered, {len(lines)} lines left out\n", done.stderr)
        self.assertEqual(json.loads(done.stdout)["line"], len(lines) + 1)

    def test_ctrl_c_ends_an_answer_politely(self):
        command = [program, "generate", "--model", str(self.run_folder), "--temperature", "100", "--max-tokens", "100", "--prompt", "On."]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
            said = process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        self.assertTrue((said + rest).endswith(b"\n"))
        (said + rest).decode()  # whole characters
        self.assertIn(process.returncode, (0, 130), errors)


if __name__ == "__main__":
    program = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
