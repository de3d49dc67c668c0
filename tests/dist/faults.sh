#!/bin/bash
# faults.sh PROGRAM LAUNCHER [RANKS]: in the middle of steps of four ranks (tests/support/faulty_steps.h) one rank goes
# wrong, each of RANKS (default: "0 1 2 3") in each way: one line names it, nobody outlives it by more than 10 s, and the
# exit code is the cause's.
#
#   mpirun      Open MPI's, which ends a run with the first rank that fails
#   survivors   the same, told to leave the others alone (Open MPI 4)
#   mpich       MPICH's; PROGRAM is one with its backend (tests/mpich). Told to leave the others of a killed rank alone, it
#               kills them all the same now and then, before they have said a word: two cases may be lost to that
#   srun        a real Slurm of one node
set -u
program=$1 launcher=$2 ranks=${3:-0 1 2 3}
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d)
trap 'declare -F stop_slurm > /dev/null && stop_slurm; rm -rf "$out"' EXIT

skip() {
  echo "skipped: $*"
  exit 77
}
case $launcher in
  mpirun | survivors)
    command -v mpirun > /dev/null || skip "there is no mpirun on this machine (package openmpi-bin)"
    command=("$here/../../scripts/mpirun-local")
    if [ "$launcher" = survivors ]; then
      mpirun --version | grep -q "Open MPI) 4" || skip "only Open MPI 4 can be told to leave survivors alone"
      command+=(--enable-recovery --mca orte_abort_on_non_zero_status 0)
    fi
    ;;
  mpich)
    command -v mpiexec.mpich > /dev/null || skip "there is no mpiexec.mpich on this machine (package mpich)"
    command=(mpiexec.mpich -disable-auto-cleanup)
    ;;
  srun)
    source "$here/slurm_cluster.sh"
    need_slurm
    start_slurm "$out" || { echo "FAILED: Slurm does not start"; exit 1; }
    unset OMPI_MCA_btl
    command=(srun --mpi=pmix)
    ;;
esac

cases=0 right=0 lost=0
[ "$launcher" != mpich ] || lost=2
# try KIND CODE(regex) OP(regex) MSG(regex)
try() {
  local kind=$1 code=$2 op=$3 msg=$4 rank begin seconds problem got
  for rank in $ranks; do
    begin=$SECONDS problem= got=0
    timeout -k 5 60 "${command[@]}" -n 4 "$program" "$kind:$rank" > "$out/out" 2> "$out/err" || got=$?
    # Open MPI's mpirun may be gone a moment before those that it kills.
    while pgrep -f "^$program $kind:$rank" > /dev/null && [ $((SECONDS - begin)) -le 14 ]; do sleep 0.1; done
    seconds=$((SECONDS - begin))
    [ "$(grep -c FATAL "$out/err")" = 1 ] || problem="not one FATAL line"
    grep -qE "^FATAL rank=$rank host=[^ ]+ code=$code step=[0-9?]+ op=(\?|\"[^\"]*$op[^\"]*\") msg=.*$msg" "$out/err" ||
      problem="${problem:-not rank $rank, code $code, '$op', '$msg'}"
    [ $seconds -le 14 ] || problem="${problem:-took $seconds s}"
    [[ $launcher != mp* || $code == '\?' || $got == "$code" ]] || problem="${problem:-exit code $got}"
    cases=$((cases + 1))
    if [ -z "$problem" ]; then
      right=$((right + 1))
    else
      echo "$kind:$rank after $seconds s: $problem"
      grep -v '^=' "$out/err" | sed 's/^/  | /'
    fi
  done
}

try throws 74 "" "disk full"
try exits '\?' "" "died \(connection lost\)"
try killed '\?' "" "died \(connection lost\)"
# Left alone, a launcher waits for the stopped process until somebody kills it.
[ "$launcher" = survivors ] || try stops 76 "" "does not answer"
try stuck 76 "" "it is in no operation with others \(training\)"
try skip_first 76 "" ""
try skip_tp 76 "" ""
try skip_dp 76 "" ""
try skip_world 76 "" ""
try other_op 76 "broadcast \(96 fp32\)" "called broadcast \(96 fp32\) as #3 of 'dp', where rank [0-3] called all_reduce sum \(96 fp32\)"
try shape 76 "all_reduce sum \(48 fp32\)" "called all_reduce sum \(48 fp32\) as #3 of 'dp', where rank [0-3] called all_reduce sum \(96 fp32\)"
echo "$launcher: $right of $cases cases right"
[ $((cases - right)) -le $lost ]
