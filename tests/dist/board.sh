#!/bin/bash
# board.sh PROGRAM SCENARIO: ranks meet and know each other, whoever starts them (tests/dist/board_program.cpp).
#
#   openmpi | mpich | torchrun | slurm   four ranks of one launcher meet
#   hand          four ranks that nobody but the environment tells who they are
#   twice         two runs that nothing tells apart, at one port: the second is told so, the first goes on
#   neighbours    two runs with overlapping ports do not disturb each other
#   exit          ranks that a library ends by exit() end with its code, whatever their threads do meanwhile
#   strangers     ranks with another secret are refused, and named as missing
set -u
program=$1 scenario=$2
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d)
trap 'declare -F stop_slurm > /dev/null && stop_slurm; rm -rf "$out"' EXIT
export XDG_CONFIG_HOME=$out/config
unset CORNSTARCH_SECRET MASTER_ADDR MASTER_PORT

fail() {
  echo "FAILED: $*"
  sed 's/^/  | /' "$out"/log*
  exit 1
}
skip() {
  echo "skipped: $*"
  exit 77
}
need() { command -v "$1" > /dev/null || skip "there is no $1 on this machine (package $2)"; }
expect_met() { # LOG RANKS SOURCE
  [ "$(sort "$1")" = "$(for ((r = 0; r < $2; ++r)); do echo "rank $r of $2 by $3"; done)" ] || fail "not exactly $2 ranks met"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(min(s.getsockname()[1], 65000))'; }

# by_hand LOG WORLD PORT SECONDS [RANK...]: leaves their process ids in $ranks.
by_hand() {
  local log=$1 world=$2 port=$3 seconds=$4 rank
  shift 4
  ranks=()
  for rank in "${@:-0}"; do
    RANK=$rank WORLD_SIZE=$world LOCAL_RANK=$rank LOCAL_WORLD_SIZE=$world MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      timeout 60 "$program" "$seconds" >> "$log" 2>&1 &
    ranks+=($!)
  done
}
wait_for() { # CODE PID...
  local code=$1 pid got
  shift
  for pid; do
    got=0
    wait "$pid" || got=$?
    [ $got = "$code" ] || fail "a rank ended with $got, not $code"
  done
}
until_met() { # LOG RANKS
  for _ in {1..200}; do
    [ "$(grep -c '^rank' "$1")" = "$2" ] && return
    sleep 0.05
  done
  fail "$1: they have not met"
}

case $scenario in
  openmpi)
    need mpirun openmpi-bin
    timeout 60 "$here/../../scripts/mpirun-local" -n 4 "$program" > "$out/log" 2>&1 || fail "mpirun ended with $?"
    expect_met "$out/log" 4 openmpi
    ;;
  mpich)
    need mpirun.mpich mpich
    timeout 60 mpirun.mpich -n 4 "$program" > "$out/log" 2>&1 || fail "mpirun ended with $?"
    expect_met "$out/log" 4 mpich
    ;;
  torchrun)
    torchrun=$(command -v torchrun || echo "$here/../../.deps/bin/torchrun")
    "$torchrun" --help > /dev/null 2>&1 || skip "there is no torchrun on this machine that starts"
    timeout 100 "$torchrun" --nnodes 1 --nproc-per-node 4 --master-port "$(free_port)" --no-python "$program" \
      2> "$out/log" > "$out/met" || fail "torchrun ended with $?"
    expect_met "$out/met" 4 torchrun
    ;;
  slurm)
    source "$here/slurm_cluster.sh"
    need_slurm
    start_slurm "$out" || fail "Slurm does not start"
    timeout 60 srun -n 4 --mpi=none "$program" > "$out/log" 2>&1 || fail "srun ended with $?"
    expect_met "$out/log" 4 slurm
    ;;
  hand)
    by_hand "$out/log" 4 "$(free_port)" 0 3 1 0 2
    wait_for 0 "${ranks[@]}"
    expect_met "$out/log" 4 torchrun
    ;;
  twice)
    port=$(free_port)
    by_hand "$out/log" 3 "$port" 4 0 1
    sleep 0.5 # rank 2 is still to come
    first=("${ranks[@]}")
    by_hand "$out/log.second" 3 "$port" 0 0 1
    wait_for 69 "${ranks[@]}"
    grep -qx "error: rank 0 of this run, or of one that cannot be told from it, listens on port $port already" \
      "$out/log.second" || fail "rank 0 of the second run is not told"
    grep -qE "^error: rank 1 on [^ ]+: a process that is rank 1 is in this run at 127.0.0.1 ports $port to [0-9]+ already" \
      "$out/log.second" || fail "rank 1 of the second run is not told"
    by_hand "$out/log" 3 "$port" 4 2
    wait_for 0 "${first[@]}" "${ranks[@]}"
    expect_met "$out/log" 3 torchrun
    ;;
  neighbours)
    port=$(free_port)
    by_hand "$out/log" 3 "$port" 2 0 1
    first=("${ranks[@]}")
    sleep 0.3
    by_hand "$out/log.second" 3 $((port - 1)) 2 1 2 0
    until_met "$out/log.second" 3
    wait_for 0 "${ranks[@]}"
    by_hand "$out/log" 3 "$port" 2 2
    wait_for 0 "${first[@]}" "${ranks[@]}"
    expect_met "$out/log" 3 torchrun
    expect_met "$out/log.second" 3 torchrun
    ;;
  exit)
    by_hand "$out/log" 2 "$(free_port)" -1 0 1
    wait_for 7 "${ranks[@]}"
    ;;
  strangers)
    port=$(free_port)
    by_hand "$out/log" 3 "$port" 0 0 1
    first=("${ranks[@]}")
    CORNSTARCH_SECRET="another secret of 16 characters" by_hand "$out/log.second" 3 "$port" 0 2
    wait_for 69 "${ranks[@]}"
    grep -qE "^error: rank 2 on [^ ]+ cannot connect to rank 0 at 127.0.0.1 ports $port to [0-9]+ within 5 s: what listens there does not take this rank's secret for its own$" \
      "$out/log.second" || fail "the stranger is not told"
    wait_for 69 "${first[@]}"
    [ "$(cat "$out/log")" = "FATAL rank=2 host=? code=69 step=? op=? msg=rank 2 did not connect to rank 0 within 5 s" ] ||
      fail "rank 2 is not missed, in one line"
    ;;
  *) fail "no scenario '$scenario'" ;;
esac
echo "passed: $scenario"
