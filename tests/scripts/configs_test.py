"""The configs that ship are valid, and the schema that they name is the one that the program prints."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ["CORNSTARCH_TRAIN"]
EXAMPLE = ROOT / "configs" / "example"
# The demo's data is made on the user's machine; the example's stands in for it.
DATA = [
    *("--set", f"data.train[0].path={EXAMPLE / 'conversations.jsonl'}", "--set", f"data.train[0].media_root={EXAMPLE}"),
    *("--set", f"data.eval[0].path={EXAMPLE / 'conversations.jsonl'}", "--set", f"data.eval[0].media_root={EXAMPLE}"),
    *("--set", f"data.tokenizer={EXAMPLE / 'tokenizer.json'}"),
]


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


class Configs(unittest.TestCase):
    def plan(self, name, world_size, *overrides):
        config = ROOT / "configs" / name
        done = run("plan", "--config", str(config), "--world-size", str(world_size), "--format", "json", *overrides)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def shape(self, plan):
        return [(part["name"], part["tp"], part["sp"], part["num_stages"]) for part in plan["modalities"]]

    def test_each_is_short_and_names_its_schema(self):
        for path in sorted((ROOT / "configs").glob("*.yaml")):
            lines = path.read_text().splitlines()
            self.assertLessEqual(len(lines), 70, path)
            self.assertEqual(lines[0], "# yaml-language-server: $schema=../docs/config.schema.json", path)

    def test_those_with_data_of_their_own_are_valid(self):
        for name in ("cornstarch-example.yaml", "long-context.yaml"):
            done = run("validate", "--config", f"configs/{name}")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"configs/{name}: valid\n", ""))

    def test_demo(self):
        plan = self.plan("demo.yaml", 4, *DATA)
        self.assertEqual(self.shape(plan), [("vision", 1, 1, 1), ("audio", 1, 1, 1), ("llm", 1, 1, 2)])

    def test_demo_of_shards_is_the_demo_on_other_data(self):
        plan = self.plan("demo-shards.yaml", 4, *DATA)
        self.assertEqual(self.shape(plan), [("vision", 1, 1, 1), ("audio", 1, 1, 1), ("llm", 1, 1, 2)])
        other = [re.sub("^#.*|demo-shards", "", (ROOT / "configs" / name).read_text(), flags=re.M).split("data:\n")
                 for name in ("demo.yaml", "demo-shards.yaml")]
        self.assertEqual(other[0][0], other[1][0])

    def test_long_context(self):
        plan = self.plan("long-context.yaml", 24)
        self.assertEqual(self.shape(plan), [("vision", 4, 2, 1), ("llm", 2, 8, 1)])
        self.assertEqual([part["mode"] for part in plan["modalities"]], ["all_to_all", "ring_attn"])

    def test_frozen_demo_lacks_only_the_first_run(self):
        config = str(ROOT / "configs" / "demo-frozen.yaml")
        missing = ROOT / "runs" / "demo-of-nobody"
        encoders = [
            argument
            for modality in ("vision", "audio")
            for argument in ("--set", f"model.encoders.{modality}.pretrained={missing / modality}")
        ]
        done = run("validate", "--config", config, "--format", "json", *DATA, *encoders)
        self.assertEqual(done.returncode, 2)
        errors = [each["code"] for each in json.loads(done.stdout)["diagnostics"] if each["severity"] == "error"]
        self.assertEqual(errors, ["missing_file", "missing_file"])


class Schema(unittest.TestCase):
    def test_it_is_up_to_date(self):
        done = run("schema")
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = (ROOT / "docs" / "config.schema.json").read_text()
        self.assertTrue(kept == done.stdout, "stale; run: cornstarch-train schema > docs/config.schema.json")


if __name__ == "__main__":
    unittest.main()
