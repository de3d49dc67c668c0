#!/usr/bin/env bash
# slurm_demo.sh PROGRAM SCENARIO: the demo's config under a real Slurm of one node, started by the test.
#
#   losses      20 steps under srun --mpi=pmix have the losses of the same ranks as threads of one process
#   kill        a rank that is killed takes all others down, and the first thing said names it
#   bad_sample  so does a rank that cannot read a recording; srun ends with the cause's exit code
set -euo pipefail
program=$1 scenario=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
source "$here/slurm_cluster.sh"

need_slurm
if [[ ! -f $root/demo/train.jsonl ]]; then
  command -v espeak-ng >/dev/null || skip "there is no demo data, and no espeak-ng to make it with (package espeak-ng)"
  "$root/scripts/make-demo-data"
fi

folder=$(mktemp -d)
trap 'stop_slurm; rm -rf "$folder"' EXIT
log=$folder/log
ranks=4
common=(--config "$root/configs/demo.yaml" --overwrite --set eval.max_samples=8)
export OMP_NUM_THREADS=1
unset OMPI_MCA_btl

fail() {
  echo "FAILED: $*"
  [[ ! -f $log ]] || sed 's/^/  | /' "$log"
  exit 1
}

# srun_demo OPTION...: starts the demo in the background.
srun_demo() {
  srun -n "$ranks" --mpi=pmix "$program" "${common[@]}" --set "run_dir=$folder/srun" "$@" >"$log" 2>&1 &
  job=$!
}

# wait_for_end SECONDS: leaves srun's exit code in $code; no process of the job may be left.
wait_for_end() {
  local limit=$1 begin=$SECONDS
  while kill -0 "$job" 2>/dev/null; do
    ((SECONDS - begin <= limit)) || fail "srun still runs after $limit s"
    sleep 0.1
  done
  code=0
  wait "$job" || code=$?
  [[ -z $(workers .) ]] || fail "processes are left: $(workers .)"
}

# workers RANK: the worker processes of our Slurm's job with this rank (a pattern).
workers() {
  local process
  for process in $(grep -lzxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null); do
    process=${process%/environ}
    grep -qzx "SLURM_PROCID=$1" "$process/environ" 2>/dev/null || continue
    [[ $(readlink "$process/exe") != */cornstarch-worker ]] || echo "${process#/proc/}"
  done
}

# expect_first PATTERN: what is said beside the plan and the steps is this line first, and it is said once. Not ours
# and so not counted: "[host:pid] Read -1", by which Open MPI's shared memory says that the other process is gone.
expect_first() {
  local first
  first=$(grep -nE '^(FATAL|error|warning|srun|slurm|\[|terminate|stopped)' "$log" | grep -v '\] Read -1, ' | head -n 1) || true
  [[ ${first#*:} =~ ^$1$ ]] || fail "the first message is '${first#*:}', not: $1"
  [[ $(grep -c FATAL "$log") == 1 ]] || fail "not exactly one FATAL line"
}

scenario_losses() {
  srun_demo --set steps=20
  wait_for_end 300
  [[ $code == 0 ]] || fail "srun's exit code is $code"
  "$program" "${common[@]}" --set "run_dir=$folder/threads" --set steps=20 --local-ranks "$ranks" >"$log" 2>&1 ||
    fail "--local-ranks ended with $?"
  python3 "$here/slurm_losses.py" 20 "$folder"/{srun,threads}/metrics.jsonl || fail "the losses differ"
}

scenario_kill() {
  local victim
  srun_demo --set steps=100000 --set log.every=1
  for _ in {1..600}; do
    grep -q '^step *3/' "$log" && break
    kill -0 "$job" 2>/dev/null || fail "the run ended too early"
    sleep 0.1
  done
  victim=$(workers 2)
  [[ $victim =~ ^[0-9]+$ ]] || fail "rank 2 is not one process: '$victim'"
  kill -KILL "$victim"
  wait_for_end 10
  [[ $code != 0 ]] || fail "srun's exit code is 0"
  expect_first 'FATAL rank=2 host=[^ ]+ code=\? step=[^ ]+ op=.* msg=died \(connection lost\)'
}

scenario_bad_sample() {
  python3 "$here/slurm_bad_recording.py" "$root/demo" "$folder/data" 64
  srun_demo --set steps=20 --set "data.train[0].path=$folder/data/train.jsonl" \
    --set "data.train[0].media_root=$folder/data"
  wait_for_end 60
  [[ $code == 65 ]] || fail "srun's exit code is $code, not 65"
  expect_first "FATAL rank=[0-9] host=[^ ]+ code=65 step=[^ ]+ op=.* msg=.*$folder/data/train.jsonl:[0-9]+: .*"
}

start_slurm "$folder"
"scenario_$scenario"
echo "passed: $scenario"
