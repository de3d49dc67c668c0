"""What programs of build/gpu-kit need to run on this machine, whose Python torch brings LibTorch, CUDA and NCCL."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

PROBE = "import torch, os; print(os.path.dirname(torch.__file__)); print(torch.cuda.device_count())"


def probe():
    """The folder of this machine's torch, and how many GPUs it sees."""
    done = subprocess.run(["python3", "-c", PROBE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"python3 here has no torch, whose libraries the programs need:\n{done.stderr[-1000:]}")
    return Path(done.stdout.split()[-2]), int(done.stdout.split()[-1])


def environment(torch, kit):
    """The libraries of that torch, and what the kit brings; nothing of a launcher that started this process."""
    places = [torch / "lib", *sorted((torch.parent / "nvidia").glob("*/lib")), kit / "lib"]
    path = ":".join(map(str, places))
    if os.environ.get("LD_LIBRARY_PATH"):
        path += ":" + os.environ["LD_LIBRARY_PATH"]
    launchers = ("OMPI_", "PMI_", "PMIX_", "SLURM_", "MASTER_", "RANK", "WORLD_SIZE", "LOCAL_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(launchers)}
    return {**kept, "LD_LIBRARY_PATH": path}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ranks_of(ranks):
    """What torchrun tells each of a host's ranks."""
    if ranks == 1:
        return [{}]
    meeting = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
               "MASTER_PORT": str(free_port())}
    return [{"RANK": str(rank), "LOCAL_RANK": str(rank), **meeting} for rank in range(ranks)]


def why(code, words):
    """Of a program that failed and what it said, in one line."""
    lines = [line for line in words.splitlines() if re.search("FATAL|[Ee]rror:", line)] or [" ".join(words[-300:].split())]
    return f"exit code {code}: {lines[-1][:200]}"
