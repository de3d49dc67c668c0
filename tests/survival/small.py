"""Runs of a model so small that a start takes about a second, under whatever starts them, and what is left of them."""

import argparse
import functools
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
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import train_test  # noqa: E402

options = argparse.Namespace()  # of the command line: program, and what the test adds

STAGES = [["model.embed_tokens", "model.layers.0"], ["model.layers.1", "model.norm", "lm_head"]]
# Every rank has something of its own to save.
LAYOUTS = {1: ["layout=single"], 2: [], 4: ["sharding=zero1"]}
WORDS = "one two three four five six seven eight nine".split()


def environment():
    """Of no launcher's, but where a test's Slurm is."""
    return {**train_test.environment(), **{k: v for k, v in os.environ.items() if k == "SLURM_CONF"}}


def config(folder):
    tokenizer = train_test.EXAMPLE / "tokenizer.json"
    model = {"family": "llama", "parallel": {"stages": STAGES},
             "config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                        "num_key_value_heads": 1, "vocab_size": 400, "max_position_embeddings": 32,
                        "tie_word_embeddings": False}}
    return {"model": {"llm": model}, "batch": {"microbatch_size": 1, "global_size": 4, "sequence_length": 32},
            "data": {"train": [{"path": str(folder / "train.jsonl")}], "tokenizer": str(tokenizer)},
            "lr_schedule": {"type": "constant"}, "seed": 7}


@functools.cache
def mpirun_passes_signals():
    """Whether there is an mpirun that hands a SIGUSR1 to its ranks; Ubuntu 24.04's Open MPI 4.1.6 does not."""
    if not shutil.which("mpirun"):
        return False
    wait = "trap 'echo heard' USR1; echo started; for i in 1 2 3 4 5 6 7 8; do sleep 0.25; done"
    with subprocess.Popen([str(ROOT / "scripts" / "mpirun-local"), "-n", "1", "sh", "-c", wait], env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        return "heard" in process.stdout.read()


def launcher(kind, ranks):
    """What stands before the program, and what behind it."""
    return {"alone": ([], []),
            "threads": ([], ["--local-ranks", str(ranks)]),
            "openmpi": ([str(ROOT / "scripts" / "mpirun-local"), "-n", str(ranks)], []),
            "mpich": (["mpirun.mpich", "-n", str(ranks)], []),
            "srun": (["srun", "-n", str(ranks), "--mpi=pmix", "--kill-on-bad-exit=1"], [])}[kind]


class Small(unittest.TestCase):
    under_way = None

    def setUp(self):
        Small.under_way = self
        self.program = options.program
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="cornstarch-survival-", dir=where))
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in self.left()])
        talk = [[("human", f"Which digit comes after {a}?"), ("gpt", b)] for a, b in zip(WORDS, WORDS[1:])]
        lines = [json.dumps({"conversations": [{"from": who, "value": said} for who, said in each]}) for each in talk]
        (self.folder / "train.jsonl").write_text("\n".join(lines) + "\n")
        (self.folder / "run.yaml").write_text(json.dumps(config(self.folder)))

    def command(self, *sets, name="run", ranks=1, kind="alone", steps=1_000_000, before=(), more=()):
        """`before`: words before the launcher; `more`: options of the program."""
        first, last = launcher(kind, ranks)
        words = [*before, *first, *more, self.program, "--config", str(self.folder / "run.yaml"), *last]
        for value in (f"run_dir={self.folder / name}", f"steps={steps}", *LAYOUTS[ranks], *sets):
            words += ["--set", value]
        return words

    def start(self, *words, env=None):
        """In the background; what it says goes to `said`. Cleanup ends it, and whatever it has started."""
        self.said = self.folder / "said"
        with open(self.said, "w") as said:
            process = subprocess.Popen(words, env={**environment(), "SURVIVAL": str(self.folder), **(env or {})},
                                       stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def end(self, process, limit=240):
        """Its exit code; nothing of it is left 10 s later. On a machine that is very busy a start takes a minute."""
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.fail(f"still there after {limit} s, with {self.left() or 'none'} of ours: {self.text()}")
        self.await_true(lambda: not self.left(), limit=10)
        return code

    def train(self, *sets, code=0, **kinds):
        self.assertEqual(self.end(self.start(*self.command(*sets, **kinds))), code, self.text())

    def stop(self, process):
        """Asks one rank to: not every mpirun passes signals on."""
        os.kill(next((pid for pid in self.left() if self.rank_of(pid) == 0), process.pid), signal.SIGUSR1)
        self.assertEqual(self.end(process), 75, self.text())

    def text(self):
        return self.said.read_text()

    def left(self):
        """Our processes, by the folder in their environment."""
        mark, out = f"SURVIVAL={self.folder}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = (process / "exe").readlink().name.startswith("cornstarch-")
                if ours and mark in (process / "environ").read_bytes().split(b"\0"):
                    out.append(int(process.name))
            except OSError:
                pass
        return sorted(out)

    def rank_of(self, pid):
        """Of a process that Open MPI has started."""
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return None
        return next((int(w.split(b"=")[1]) for w in words if w.startswith(b"OMPI_COMM_WORLD_RANK=")), None)

    def await_true(self, condition, limit=240, while_runs=None):
        deadline = time.monotonic() + limit
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.text())
            if while_runs is not None and while_runs.poll() is not None:
                return
            time.sleep(0.02)

    def step(self, name="run"):
        """The last step told so far."""
        metrics = self.folder / name / "metrics.jsonl"
        if not metrics.exists():
            return 0
        with open(metrics, "rb") as file:
            file.seek(max(0, metrics.stat().st_size - 4096))
            whole = file.read().split(b"\n")[:-1]
        return json.loads(whole[-1])["step"] if whole else 0

    def losses(self, name="run"):
        """All that a step tells but times. A run that has just been killed may have left half a line."""
        text = (self.folder / name / "metrics.jsonl").read_text()
        records = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [tuple(r.get(k) for k in ("step", "loss", "grad_norm", "lr", "tokens", "target_tokens", "eval_loss"))
                for r in records]

    def model(self, name="run"):
        root = self.folder / name / "model"
        return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def checkpoints(self, name="run", ending=""):
        found = (self.folder / name / "checkpoints").glob("step-*")
        return sorted(int(m[1]) for p in found if (m := re.fullmatch(rf"step-(\d+){re.escape(ending)}", p.name)))


def main(**added):
    """`added`: flags or words of the test, by name and help, before those of unittest."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("program", type=lambda p: str(Path(p).resolve()))
    for name, help_text in added.items():
        parser.add_argument("--" + name, help=help_text)
    parser.add_argument("--long", action="store_true", help="the long form")
    parser.add_argument("--cases", action="store_true", help="only name the cases")
    known, rest = parser.parse_known_args()
    vars(options).update(vars(known))
    if known.cases:
        suites = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
        print(*(case.id().split(".")[-1] for suite in suites for case in suite), sep="\n")
        return
    # Whoever ends the test early ends what it has started, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        unittest.main(argv=[sys.argv[0], *rest])
    finally:
        if Small.under_way:
            Small.under_way.doCleanups()
