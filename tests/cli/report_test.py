#!/usr/bin/env python3
"""The page of `cornstarch-train report`, also in a browser where there is one: report_test.py PROGRAM [unittest arguments]."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import browser
from run_folders import write_run

program = ""  # absolute path, from the command line


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cornstarch-report-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def report(self, *words, code=0):
        done = subprocess.run([program, "report", *map(str, words)], capture_output=True, text=True, timeout=120, check=False,
                              cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def data(self, page):
        text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)[1]
        return json.loads(text)


class Report(Case):
    def test_a_run_has_its_page_beside_its_numbers(self):
        write_run(self.folder / "demo", steps=80)
        self.assertEqual(self.report("demo"), ("demo/report.html: 1 run\n", ""))
        run = self.data(self.folder / "demo" / "report.html")["runs"][0]
        lines = [json.loads(line) for line in (self.folder / "demo" / "metrics.jsonl").read_text().splitlines()]
        losses = [float(f"{line['loss']:.7g}") for line in lines if "loss" in line]
        self.assertEqual(run["steps"]["series"]["loss"]["mean"], losses)
        self.assertEqual(run["evals"]["axes"]["step"], [line["step"] for line in lines if "eval_loss" in line])
        self.assertEqual(run["summary"]["steps"], "80")
        self.assertEqual(run["summary"]["GPU"], "NVIDIA H100 80GB HBM3")
        self.assertEqual([s["name"] for s in run["stages"]], ["vision stage 0", "llm stage 0", "llm stage 1"])
        self.assertEqual(len(run["tracks"]), 3)
        self.assertEqual([a["answer"] for a in run["answers"][2]["answers"]], ["one", "seven and one", "seven and three"])

    def test_several_runs_are_compared(self):
        write_run(self.folder / "a", steps=40)
        write_run(self.folder / "b", steps=20, lr=6e-4, seed=2)
        self.assertEqual(self.report("a", "b", "--out", "both.html"), ("both.html: 2 runs\n", ""))
        data = self.data(self.folder / "both.html")
        self.assertEqual([r["name"] for r in data["runs"]], ["a", "b"])
        self.assertEqual({d["key"] for d in data["differences"]}, {"optimizer.lr", "steps", "run_dir"})
        self.report("a", "b")
        self.assertTrue((self.folder / "report.html").exists())

    def test_a_run_under_way_is_shown_with_what_could_not_be_read(self):
        write_run(self.folder / "demo", steps=30, whole=False)
        with open(self.folder / "demo" / "metrics.jsonl", "a", encoding="utf-8") as out:
            out.write('{"step": 31, "lo')
        line = len((self.folder / "demo" / "metrics.jsonl").read_text().splitlines())
        said = f"demo/metrics.jsonl:{line}: the last line is not whole and was left out"
        self.assertEqual(self.report("demo")[1], f"warning: {said}\n")
        self.assertEqual(self.data(self.folder / "demo" / "report.html")["runs"][0]["notes"], [said])

    def test_every_folder_that_is_no_run_is_named(self):
        write_run(self.folder / "runs" / "demo", steps=3)
        (self.folder / "empty").mkdir()
        (self.folder / "empty" / "metrics.jsonl").write_text("")
        self.assertEqual(self.report("nowhere", "runs", "empty", "runs/demo", code=66)[1], (
            "error: there is no folder 'nowhere'\n  help: give the run_dir of a run\n"
            "error: 'runs' holds no run: there is no metrics.jsonl in it\n  help: there are runs in it: runs/demo\n"
            "error: empty/metrics.jsonl: there is no step in it\n  help: a run writes one line a step: has it begun to train?\n"))
        self.assertFalse((self.folder / "report.html").exists())
        self.assertEqual(self.report(code=2)[1], "error: report: say of which runs\n  help: cornstarch-train report RUN...\n")

    def test_a_hundred_thousand_steps_make_a_page_of_a_few_megabytes(self):
        write_run(self.folder / "long", steps=100_000, whole=False)
        self.report("long")
        page = self.folder / "long" / "report.html"
        self.assertLess(page.stat().st_size, 3 << 20)
        steps = self.data(page)["runs"][0]["steps"]
        self.assertEqual((steps["per"], steps["axes"]["step"][-1], len(steps["axes"]["step"])), (100, 100_000, 1000))


@unittest.skipUnless(browser.find(), "no browser is installed (Debian: apt-get install chromium)")
class InABrowser(Case):
    """What a person sees: nothing runs off a phone's edge, every curve is there and can be read in numbers."""

    def test_the_page_works(self):
        write_run(self.folder / "a", steps=1200)
        write_run(self.folder / "b", steps=900, lr=6e-4, seed=2)
        self.report("a", "b", "--out", "both.html")
        with browser.Browser() as page:
            for width, dark in ((1280, False), (390, True), (390, False)):
                page.open(self.folder / "both.html", width, dark=dark)
                self.assertEqual(page.problems, [])
                self.assertEqual(page.value("document.documentElement.scrollWidth"), width)
            shown = page.value("[...document.querySelectorAll('figure:not([hidden])')].map((f) => f.dataset.key)")
            self.assertEqual(shown, ["loss", "eval_loss", "eval_accuracy", "lr", "grad_norm", "tokens_per_s", "step_time_s", "mfu",
                                     "model_flops_per_s", "tokens", "peak_memory_bytes"])
            self.assertEqual(page.value("document.querySelectorAll('figure[data-key=loss] path.line:not(.raw)').length"), 2)
            self.assertEqual(page.value("[...document.querySelectorAll('h2')].map((h) => h.textContent)"),
                             ["At a glance", "Curves", "Where the time goes", "Timelines", "Answers to held-out questions",
                              "What differs between the configs", "Configs"])
            light = page.value("getComputedStyle(document.body).backgroundColor")
            page.open(self.folder / "both.html", 1280, dark=True)
            self.assertNotEqual(page.value("getComputedStyle(document.body).backgroundColor"), light)

    def test_numbers_can_be_read_by_pointer_keys_and_table(self):
        write_run(self.folder / "a", steps=50)
        self.report("a")
        first = json.loads((self.folder / "a" / "metrics.jsonl").read_text().splitlines()[0])
        loss = f"{first['loss']:.5g}"
        with browser.Browser() as page:
            page.open(self.folder / "a" / "report.html", 1280)
            x, y = page.value("(() => { document.querySelector('figure').scrollIntoView({block: 'center'});"
                              " const r = document.querySelector('figure svg').getBoundingClientRect(); return [r.right - 12, r.top + 50]; })()")
            page.point_at(x, y)
            self.assertTrue(page.value("document.getElementById('tip').textContent").startswith("Step 50a"))
            page.value("(() => { const svg = document.querySelector('figure svg'); svg.focus();"
                       " svg.dispatchEvent(new KeyboardEvent('keydown', {key: 'Home'})); })()")
            self.assertEqual(page.value("document.getElementById('tip').textContent"), f"Step 1a{loss}")
            page.value("document.querySelector('figure details').open = true")
            page.value("new Promise((done) => setTimeout(done, 100))")
            self.assertEqual(page.value("document.querySelector('figure tbody tr').textContent"), f"1{first['loss']:.7g}")
            page.value("[...document.querySelectorAll('.choice button')].find((b) => b.textContent === 'Time').click()")
            page.value("document.querySelectorAll('.legend input')[1].click()")
            self.assertEqual(page.problems, [])


if __name__ == "__main__":
    program = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
