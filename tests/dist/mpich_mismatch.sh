#!/usr/bin/env bash
# mpich_mismatch.sh PROGRAM: MPICH's mpirun starts the program, whose MPI backend was built with Open MPI. Each process
# then believes to be alone; the run ends at once, with exit code 69 and what to do about it.
set -euo pipefail
program=$1
root=$(cd "$(dirname "$0")/../.." && pwd)

skip() {
  echo "skipped: $*"
  exit 77
}

command -v mpirun.mpich >/dev/null || skip "mpirun.mpich not found; the package mpich brings it"
module=$(dirname "$program")/../lib/libcornstarch_mpi.so
[[ -f $module ]] || skip "this build has no MPI backend"
ldd "$module" | grep -q libmpi.so || skip "this build's MPI backend is not Open MPI's"
if [[ ! -f $root/demo/train.jsonl ]]; then
  command -v espeak-ng >/dev/null || skip "there is no demo data, and no espeak-ng to make it with (package espeak-ng)"
  "$root/scripts/make-demo-data"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
code=0
OMP_NUM_THREADS=1 timeout 60 mpirun.mpich -n 4 "$program" --config "$root/configs/demo.yaml" \
  --set "run_dir=$folder/run" >"$folder/log" 2>&1 || code=$?

fail() {
  echo "FAILED: $*"
  sed 's/^/  | /' "$folder/log"
  exit 1
}

[[ $code == 69 ]] || fail "exit code $code, not 69"
grep -qE "error: the launcher started 4 processes, but MPI believes that this one \(rank [0-3]\) is alone: another MPI's mpirun started them" \
  "$folder/log" || fail "the mistake is not named"
grep -qE "help: .* built with Open MPI .*: start it with that MPI's mpirun, or with srun --mpi=pmix" "$folder/log" ||
  fail "there is no advice"
[[ ! -e $folder/run/metrics.jsonl ]] || fail "something was trained"
echo "passed"
