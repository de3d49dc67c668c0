#!/usr/bin/env python3
"""What `cornstarch-train data inspect` says of good, long and bad data: inspect_test.py PROGRAM [unittest arguments]."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import browser

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs" / "example"
program = ""  # absolute path, from the command line


class Inspect(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cornstarch-inspect-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        shutil.copytree(EXAMPLE, self.data)

    def add(self, *samples):
        with open(self.data / "conversations.jsonl", "a", encoding="utf-8") as out:
            out.writelines(json.dumps(s) + "\n" for s in samples)

    def inspect(self, *words, code=0, **keys):
        keys = {"data.train": f"[{{path: '{self.data / 'conversations.jsonl'}'}}]", "data.eval": "[]",
                "data.tokenizer": self.data / "tokenizer.json", "eval.every": 0, "eval.generate": 0} | keys
        done = subprocess.run([program, "data", "inspect", "--config", str(ROOT / "configs" / "demo.yaml"), *map(str, words),
                               *(w for k, v in keys.items() for w in ("--set", f"{k}={v}"))],
                              capture_output=True, text=True, timeout=120, check=False, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.replace(f"{self.data}/", ""), done.stderr

    def json(self, *words, **keys):
        return json.loads(self.inspect("--format", "json", *words, **keys)[0])

    def test_counts_and_spreads_add_up(self):
        samples = [json.loads(line) for line in (self.data / "conversations.jsonl").read_text().splitlines()]
        found = self.json()["data.train"]
        self.assertEqual((found["samples"], found["looked_at"], found["bad"]), (len(samples), len(samples), {"samples": 0}))
        for name in ("tokens of a sample", "text of a sample", "learnt of a sample", "<image> in a sample", "<audio> in a sample"):
            spread = found["spreads"][name]
            self.assertEqual(sum(bar["count"] for bar in spread["histogram"]), len(samples), name)
            self.assertEqual(spread["count"], len(samples))
        pictures = sum(len(s.get("images", [s["image"]] if "image" in s else [])) for s in samples)
        self.assertEqual(found["spreads"]["<image> width"]["count"], pictures)
        self.assertEqual((found["spreads"]["<image> features"]["min"], found["spreads"]["<image> features"]["max"]), (16, 16))

    def test_the_text_has_a_histogram_of_everything(self):
        said, _ = self.inspect()
        samples = len((self.data / "conversations.jsonl").read_text().splitlines())
        self.assertIn(f"data.train: {samples} samples in an epoch, {samples} looked at\n", said)
        self.assertRegex(said, r"  tokens of a sample \(text and features\): \d+ to \d+, median \d+, mean [0-9.]+, 95 % up to \d+\n")
        self.assertRegex(said, r"\n +\d+\.\.\d+  #+ \d+\n")
        self.assertRegex(said, r"  <image> features: 16 in all \d+\n")
        self.assertRegex(said, r"  <audio> length \(seconds\): ")

    def test_bad_samples_stand_with_file_and_line(self):
        (self.data / "broken.png").write_bytes((self.data / "seven.png").read_bytes()[:60])
        lines = len((self.data / "conversations.jsonl").read_text().splitlines())
        self.add({"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "one"}], "image": "broken.png"},
                 {"conversations": "none"})
        said, _ = self.inspect()
        self.assertIn(f"2 samples (", said)
        self.assertIn(f"first conversations.jsonl:{lines + 1}): bad:\n", said)
        self.assertIn(f"    conversations.jsonl:{lines + 1}: 'broken.png': ", said)
        self.assertIn(f"    conversations.jsonl:{lines + 2}: ", said)
        found = self.json()["data.train"]
        self.assertEqual(found["bad"]["samples"], 2)
        self.assertEqual(len(found["problems"]), 2)

    def test_what_is_too_long_is_counted_with_its_tokens(self):
        found = self.json(**{"batch.sequence_length": 96})["data.train"]["spreads"]["tokens of a sample"]
        self.add({"conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "seven " * 200}]})
        cut = self.json(**{"batch.sequence_length": 96})["data.train"]
        self.assertEqual(cut["cut"]["samples"], 1)
        longest = cut["spreads"]["tokens of a sample"]["max"]
        self.assertGreater(longest, found["max"])
        self.assertEqual(cut["tokens_cut"], longest - 96)
        self.assertIn("longer than batch.sequence_length, 96; ", self.inspect()[0])

    def test_a_sample_is_shown_as_the_model_sees_it(self):
        samples = [json.loads(line) for line in (self.data / "conversations.jsonl").read_text().splitlines()]
        number = next(i for i, s in enumerate(samples) if "image" in s and "audio" not in s)
        said, _ = self.inspect("--sample", number + 1)
        self.assertTrue(said.startswith(f"sample {number + 1}, conversations.jsonl:{number + 1}: "), said)
        self.assertNotIn("data.train:", said)
        self.assertRegex(said, r"\[16 features of <image>: seven\.png, \d+ x \d+ pixels, as \[3, 32, 32\]\]\n|"
                               r"\[16 features of <image>: \w+\.png, \d+ x \d+ pixels, as \[3, 32, 32\]\]\n")
        shown = self.json("--sample", number + 1)["sample"]
        learnt = "".join(t for s in shown["stretches"] if s["learnt"] for t in s["texts"])
        self.assertIn(samples[number]["conversations"][1]["value"], learnt)
        text = "".join(t for s in shown["stretches"] for t in s.get("texts", []))
        self.assertIn(samples[number]["conversations"][0]["value"].replace("<image>", "").strip(), text)
        self.assertEqual(sum(len(s.get("ids", [])) + s.get("features", 0) for s in shown["stretches"]), shown["tokens"])
        marked = [line for line in said.splitlines() if line.startswith(">")]
        self.assertEqual(len(marked), sum(s["learnt"] for s in shown["stretches"]))

    def test_what_cannot_be_done_is_refused(self):
        self.assertIn("error: --sample 1000: the data set has ", self.inspect("--sample", 1000, code=2)[1])
        done = subprocess.run([program, "data"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (2, "error: data: say what to do\n  help: cornstarch-train data inspect --config FILE\n"))
        done = subprocess.run([program, "data", "inspekt"], capture_output=True, text=True, check=False)
        self.assertIn("expected inspect, got 'inspekt'; did you mean 'inspect'?", done.stderr)

    def test_the_page_has_pictures_and_asks_for_nothing(self):
        samples = [json.loads(line) for line in (self.data / "conversations.jsonl").read_text().splitlines()]
        number = next(i for i, s in enumerate(samples) if "image" in s and "audio" in s)
        self.inspect("--html", "data.html", "--sample", number + 1)
        html = (self.folder / "data.html").read_text()
        self.assertEqual(len(re.findall('src="data:image/png;base64,iVBOR', html)), 2)
        self.assertNotRegex(html, r'(src|href)="(?!data:image/png)')
        self.assertIn('class="learnt"', html)
        if not browser.find():
            return
        with browser.Browser() as page:
            for width in (390, 1280):
                page.open(self.folder / "data.html", width)
                self.assertEqual(page.problems, [])
                self.assertEqual(page.value("document.documentElement.scrollWidth"), width)
            self.assertEqual(page.value("[...document.images].map((i) => i.complete && i.naturalWidth > 0)"), [True, True])


if __name__ == "__main__":
    program = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
