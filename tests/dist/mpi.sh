#!/bin/bash
# mpi.sh PROGRAM SCENARIO: runs tests/dist/mpi_program.cpp under mpirun and checks what a user sees.
set -u
program=$1 scenario=$2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

if ! command -v mpirun > /dev/null; then
  echo "skipped: there is no mpirun on this machine (package openmpi-bin)"
  exit 77
fi
mpirun_local=$(dirname "$0")/../../scripts/mpirun-local

fail() {
  echo "FAILED: $*"
  sed 's/^/  out: /' "$out/out"
  sed 's/^/  err: /' "$out/err"
  exit 1
}

# Open MPI 4's mpirun can be told to leave survivors alone, as MPICH's and srun do: then we must end them ourselves.
launcher_flags=()
survivors_left_alone=0
leave_survivors_alone() {
  if mpirun --version | grep -q "Open MPI) 4"; then
    launcher_flags=(--enable-recovery --mca orte_abort_on_non_zero_status 0)
    survivors_left_alone=1
  fi
}

limit=60
# start RANKS: leaves the exit code in $code and the time in $seconds.
start() {
  local begin=$SECONDS
  timeout -k 5 "$limit" "$mpirun_local" "${launcher_flags[@]}" -n "$1" "$program" "$scenario" > "$out/out" 2> "$out/err"
  code=$?
  seconds=$((SECONDS - begin))
}

expect_code() { [ "$code" = "$1" ] || fail "exit code $code, not $1"; }
expect_fast() { [ "$seconds" -le "$1" ] || fail "took $seconds s, more than $1"; }
expect_survivors() { grep -qxE "$1" "$out/out" || fail "no survivor says: $1"; }
expect_silence() { ! grep -q FATAL "$out/err" || fail "a FATAL line in a clean run"; }
# The first line that we print, and the only one of its kind.
expect_fatal() {
  [ "$(grep -c FATAL "$out/err")" = 1 ] || fail "not exactly one FATAL line"
  grep -qxE "FATAL $1" "$out/err" || fail "the line is not: FATAL $1"
}
host=host=[^\ ]+
at='step=[^ ]+ op=(\?|"[^"]*")'

case $scenario in
  traffic | pieces)
    [ "$scenario" = traffic ] && worlds="1 3 8" || worlds=2
    for ranks in $worlds; do
      start $ranks
      expect_code 0
      expect_silence
      [ "$(grep -c "of $ranks done" "$out/out")" = $ranks ] || fail "not all of $ranks ranks came to their end"
    done
    ;;
  crowded)
    launcher_flags=(--host localhost:1)  # two ranks where there is room for one
    start 2
    expect_code 0
    expect_silence
    ;;
  throw)
    start 4
    expect_code 74
    expect_fast 15
    expect_fatal "rank=2 $host code=74 $at msg=disk full: no space left"
    expect_survivors "stopped because rank 2 failed: disk full: no space left"
    ;;
  stuck)
    leave_survivors_alone
    start 4
    [ $survivors_left_alone = 1 ] || [ "$code" != 0 ] || fail "exit code 0"
    expect_fast 15
    expect_fatal "rank=2 $host code=74 $at msg=disk full: no space left"
    ;;
  exit | kill)
    leave_survivors_alone
    start 4
    [ $survivors_left_alone = 1 ] || [ "$code" != 0 ] || fail "exit code 0"
    expect_fast 15
    expect_fatal "rank=2 $host code=\? $at msg=died \(connection lost\)"
    [ $survivors_left_alone = 0 ] || expect_survivors "stopped because rank 2 failed: died \(connection lost\)"
    ;;
  kill0)
    leave_survivors_alone
    start 4
    [ $survivors_left_alone = 1 ] || [ "$code" != 0 ] || fail "exit code 0"
    expect_fast 15
    expect_fatal "rank=0 $host code=\? $at msg=died \(connection lost\)"
    [ $survivors_left_alone = 0 ] || expect_survivors "stopped because rank 0 failed: died \(connection lost\)"
    ;;
  missing)
    start 3
    expect_code 76
    expect_fast 20
    op="all_reduce sum \(512 fp32\) as #1 of 'tp of llm stage 2'"
    expect_fatal "rank=1 $host code=76 step=\? op=\"$op\" msg=rank [02] waited [0-9.]+ s for it: $op; it is in no operation with others \(starting\)"
    ;;
  init)
    # D4: the launcher leaves the others alone, and MPI's own start waits for ever.
    leave_survivors_alone
    [ $survivors_left_alone = 1 ] || exit 77
    start 4
    expect_fast 20
    expect_fatal "rank=2 $host code=69 step=\? op=\"MPI_Init_thread\" msg=rank 2 is not there, for which MPI_Init_thread waited 3 s"
    ;;
  slow | slow_long)
    [ "$scenario" = slow ] || limit=500
    start 4
    expect_code 0
    expect_silence
    [ "$scenario" = slow ] || [ "$seconds" -ge 250 ] || fail "no rank was slow: $seconds s"
    ;;
  mismatch)
    start 2
    expect_code 76
    expect_fatal "rank=1 $host code=76 $at msg=rank 1 expected 20 bytes of rank 0, which sent 12: receive of 'activations of microbatch 2' \(5 fp32\), tag 4"
    ;;
  alone)
    # Two processes that another MPI's mpirun started: Open MPI knows nothing of each other's.
    PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2 timeout 60 "$program" alone > "$out/out" 2> "$out/err"
    code=$?
    expect_code 69
    grep -qF "error: the launcher started 2 processes, but MPI believes that this one (rank 1) is alone: another MPI's mpirun started them" "$out/err" || fail "no error text"
    grep -qE "help: this worker was built with Open MPI v[0-9.a-z]+: start it with that MPI's mpirun, or with srun --mpi=pmix" "$out/err" || fail "no advice"
    ;;
  *) fail "no scenario '$scenario'" ;;
esac
echo "passed: $scenario"
