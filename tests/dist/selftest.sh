#!/usr/bin/env bash
# selftest.sh PROGRAM SCENARIO: `cornstarch-train selftest` under a launcher.
#
#   mpirun   three processes, each link once
#   srun     the same under a real Slurm, started by the test
#   stopped  a process that stands still in the middle is named, and all end
set -euo pipefail
program=$1 scenario=$2
here=$(cd "$(dirname "$0")" && pwd)
source "$here/slurm_cluster.sh"

folder=$(mktemp -d)
trap 'stop_slurm; rm -rf "$folder"' EXIT
export OMP_NUM_THREADS=1
# What the program itself is told of launchers comes from the one below.
unset PMI_RANK PMI_SIZE RANK WORLD_SIZE

fail() {
  echo "FAILED: $*"
  tail -n 40 "$folder"/out "$folder"/err | sed 's/^/  | /'
  exit 1
}

need_mpirun() { command -v mpirun >/dev/null || skip "there is no mpirun on this machine (package openmpi-bin)"; }

# under LAUNCHER...: the exit code is left in $code.
under() {
  code=0
  timeout -k 5 100 "$@" >"$folder/out" 2>"$folder/err" || code=$?
}

expect_report() {
  [[ $code == 0 ]] || fail "exit code $code"
  python3 - "$folder/out" "$(hostname)" <<'PYTHON' || fail "the report is not as it should be"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["backend"].startswith("Open MPI v"), report["backend"]
assert report["hosts"] == 3 * [sys.argv[2]], report["hosts"]
assert [c["name"] for c in report["collectives"]] == [
    "all_reduce sum", "all_reduce max", "broadcast", "all_gather", "reduce_scatter", "all_to_all"]
assert [(l["from"], l["to"]) for l in report["links"]] == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
assert all(l["seconds"] > 0 for l in report["links"]) and report["problems"] == []
PYTHON
}

# worker RANK: the process of our mpirun with this rank.
worker() {
  local process
  for process in $(grep -lzxF "CORNSTARCH_SELFTEST=$folder" /proc/[0-9]*/environ 2>/dev/null); do
    process=${process%/environ}
    grep -qzx "OMPI_COMM_WORLD_RANK=$1" "$process/environ" 2>/dev/null || continue
    [[ $(readlink "$process/exe") != */cornstarch-worker ]] || echo "${process#/proc/}"
  done
}

case $scenario in
  mpirun)
    need_mpirun
    under "$here/../../scripts/mpirun-local" -n 3 "$program" selftest --size 300000 --format json
    expect_report
    ;;
  srun)
    need_slurm
    start_slurm "$folder"
    under srun -n 3 --mpi=pmix "$program" selftest --size 300000 --format json
    expect_report
    ;;
  stopped)
    need_mpirun
    export CORNSTARCH_SELFTEST=$folder
    # More than it can do in the time that it gets.
    under "$here/../../scripts/mpirun-local" -n 3 "$program" selftest --size 100000000 --deadline 5 &
    job=$!
    for ((i = 0; i < 300; ++i)); do
      pid=$(worker 1)
      # It is under way when it has the memory of its tensors.
      [[ -z $pid ]] || (($(awk '/RssAnon/ {print $2}' "/proc/$pid/status" 2>/dev/null || echo 0) < 150000)) || break
      sleep 0.1
    done
    [[ -n $pid ]] && kill -STOP "$pid" || fail "rank 1 never came as far"
    wait "$job" || true
    grep -qE "^FATAL rank=1 host=[^ ]+ " "$folder/err" || fail "rank 1 is not named"
    for ((i = 0; i < 100; ++i)); do
      [[ -n $(worker .) ]] || break
      sleep 0.1
    done
    [[ -z $(worker .) ]] || fail "processes are left: $(worker .)"
    ;;
  *) fail "no scenario '$scenario'" ;;
esac
echo "passed: $scenario"
