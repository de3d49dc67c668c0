#!/usr/bin/env bash
# netcut.sh PROGRAM: two ranks (tests/dist/board_program.cpp), each on a host of its own, made of a network namespace. The
# link between them is cut without a word: within 35 s (30 s of silence, and to say so) both have ended, and each names the
# other.
set -euo pipefail
program=$1 limit=35

skip() {
  echo "skipped: $*"
  exit 77
}
((EUID == 0)) || skip "network namespaces are root's to make"
command -v ip > /dev/null || skip "there is no ip on this machine (package iproute2)"
names=("cornstarch-$$-0" "cornstarch-$$-1")
ip netns add "${names[0]}" 2> /dev/null || skip "this machine makes no network namespaces"

out=$(mktemp -d)
ranks=()
clean() {
  [[ ${#ranks[@]} -eq 0 ]] || kill -KILL "${ranks[@]}" 2> /dev/null || true
  for name in "${names[@]}"; do ip netns del "$name" 2> /dev/null || true; done
  rm -rf "$out"
}
trap clean EXIT
fail() {
  echo "FAILED: $*"
  tail -n +1 "$out"/log.*
  exit 1
}

ip netns add "${names[1]}"
ip -n "${names[0]}" link add cut0 type veth peer name cut1 netns "${names[1]}"
for rank in 0 1; do
  ip -n "${names[rank]}" address add "10.213.7.$((rank + 1))/24" dev "cut$rank"
  ip -n "${names[rank]}" link set lo up
  ip -n "${names[rank]}" link set "cut$rank" up
  RANK=$rank WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.213.7.1 MASTER_PORT=29500 \
    CORNSTARCH_SECRET="a secret of this test" timeout 120 ip netns exec "${names[rank]}" "$program" 90 > "$out/log.$rank" 2>&1 &
  ranks+=($!)
done
for _ in {1..200}; do
  [[ $(cat "$out"/log.* | grep -c '^rank') == 2 ]] && break
  sleep 0.05
done
[[ $(cat "$out"/log.* | grep -c '^rank') == 2 ]] || fail "they have not met"

for rank in 0 1; do ip -n "${names[rank]}" link set "cut$rank" down; done
cut=$SECONDS
for rank in 0 1; do
  code=0
  wait "${ranks[rank]}" || code=$?
  seconds=$((SECONDS - cut))
  echo "rank $rank ended with $code, $seconds s after the cut: $(grep -m 1 FATAL "$out/log.$rank")"
  ((seconds <= limit)) || fail "rank $rank ended $seconds s after the cut"
  [[ $code != 0 ]] || fail "rank $rank ended well"
  grep -q "^FATAL rank=$((1 - rank)) " "$out/log.$rank" || fail "rank $rank does not name the other"
done
ranks=()
