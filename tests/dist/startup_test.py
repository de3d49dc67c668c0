"""startup_test.py PROGRAM: mistakes of those who start a run (PROGRAM: board_program). Each ends in time, with code 69,
and says who is missing or what is wrong, word for word."""

import os
import re
import socket
import subprocess
import sys
import time

PROGRAM = sys.argv[1]
LIMIT = 2.0  # seconds for all to meet
SLACK = 4.0  # of a busy machine


def missing(ranks):
    """What rank 0 says of them."""
    first = re.search(r"\d+", ranks)[0]
    return rf"FATAL rank={first} host=\? code=69 step=\? op=\? msg={ranks} did not connect to rank 0 within 2 s"


def cannot(rank, where, seen):
    return rf"error: rank {rank} on \S+ cannot connect to rank 0 at {where} within 2 s: {seen}"


def free_ports():
    """The first of 16 that are free."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = min(s.getsockname()[1], 60000)
        taken = [socket.socket() for _ in range(16)]
        try:
            for n, each in enumerate(taken):
                each.bind(("127.0.0.1", port + n))
            return port
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()


class Run:
    """Processes of a world, each as (rank, what its first line must be, what else its environment says)."""

    def __init__(self, name, world, *processes, hosts=1, master="127.0.0.1", port=None):
        self.name = name
        self.port = port or free_ports()
        self.processes = []
        for rank, expected, *changed in processes:
            environment = dict(
                os.environ, RANK=rank, WORLD_SIZE=world, LOCAL_RANK=rank if hosts == 1 else 0,
                LOCAL_WORLD_SIZE=world // hosts, MASTER_ADDR=master, MASTER_PORT=self.port,
                CORNSTARCH_SECRET="known to all of them")
            environment.update(*changed)
            child = subprocess.Popen(
                [PROGRAM, "0", str(int(1000 * LIMIT))], env={k: str(v) for k, v in environment.items()},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.processes.append((child, rank, expected))
        self.begin = time.monotonic()

    def problems(self):
        for child, rank, expected in self.processes:
            try:
                said, _ = child.communicate(timeout=max(0.1, self.begin + LIMIT + SLACK - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                yield f"{self.name}: rank {rank} is still there"
                continue
            first = said.split("\n")[0]
            expected = expected.replace("PORTS", f"ports {self.port} to {self.port + 15}")
            if child.returncode != 69:
                yield f"{self.name}: rank {rank} ended with {child.returncode}: {said}"
            if not re.fullmatch(expected, first):
                yield f"{self.name}: rank {rank} says '{first}', not '{expected}'"


def mistakes(taken):
    local = "127.0.0.1 PORTS"
    # Nobody has 192.0.2.1: it is for documentation.
    nobody = "(Connection timed out|Network is unreachable|No route to host|Connection refused)"
    one_of_two = rf"(error: rank 1 on \S+: a process that is rank 1 is in this run at {local} already)?"
    return [
        Run("a missing rank", 3, (0, missing("rank 2")), (1, "")),
        Run("missing ranks", 4, (0, missing("ranks 1, 2")), (3, "")),
        Run("rank 0 is missing", 3, (1, cannot(1, local, "Connection refused")), (2, cannot(2, local, "Connection refused"))),
        Run("another world size", 3, (0, missing("rank 2")), (1, ""),
            (2, cannot(2, local, "another run, or one of another size, listens there"), {"WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 4})),
        Run("one rank twice", 3, (0, missing("rank 2")), (1, one_of_two), (1, one_of_two)),
        Run("another secret", 2, (0, missing("rank 1")),
            (1, cannot(1, local, "what listens there does not take this rank's secret for its own"),
             {"CORNSTARCH_SECRET": "known to nobody else"})),
        Run("the port is taken", 2,
            (0, rf"error: rank 0 cannot listen on TCP port {taken}: Address already in use"),
            (1, cannot(1, f"127.0.0.1 port {taken}", "what listens there says nothing")), port=taken),
        Run("a host that cannot be reached", 2, (0, missing("rank 1")), (1, cannot(1, "192.0.2.1 PORTS", nobody)),
            hosts=2, master="192.0.2.1"),
        Run("a host that nobody knows", 2, (0, missing("rank 1")),
            (1, cannot(1, "no-such-host.invalid PORTS", "no address of 'no-such-host.invalid' is known: .+")),
            hosts=2, master="no-such-host.invalid"),
    ]


def main():
    begin = time.monotonic()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 65535))  # the last: there is none behind it
        listener.listen(64)
        runs = mistakes(65535)
        problems = [problem for run in runs for problem in run.problems()]
    print("\n".join(problems) or f"passed: {len(runs)} mistakes in {time.monotonic() - begin:.1f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
