#!/usr/bin/env bash
# netcut.sh PROGRAM [COLLECTIVE]: two ranks (tests/dist/board_program.cpp), each on a host of its own, made of a network
# namespace, whose deadlines.collective is so many seconds (default: 600, as the key's). The link between them is cut without
# a word: both end, 30 s after the cut at the latest, or 6 s after what a smaller deadline allows, and each names the other.
# The ranks look at nothing meanwhile, so their board has to end them.
set -euo pipefail
program=$1 collective=${2:-600}
silence=$((collective < 5 ? 5 : collective > 24 ? 24 : collective))
limit=$((silence + 6))

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
    CORNSTARCH_SECRET="a secret of this test" timeout 120 ip netns exec "${names[rank]}" "$program" 90 5000 "${collective}000" > "$out/log.$rank" 2>&1 &
  ranks+=($!)
done
for _ in {1..200}; do
  [[ $(cat "$out"/log.* | grep -c '^rank') == 2 ]] && break
  sleep 0.05
done
[[ $(cat "$out"/log.* | grep -c '^rank') == 2 ]] || fail "they have not met"

for rank in 0 1; do ip -n "${names[rank]}" link set "cut$rank" down; done
cut=${EPOCHREALTIME/./}
for rank in 0 1; do
  code=0
  wait "${ranks[rank]}" || code=$?
  after=$((${EPOCHREALTIME/./} - cut))
  echo "rank $rank ended with $code, $((after / 1000)) ms after the cut: $(grep -m 1 FATAL "$out/log.$rank")"
  ((after <= limit * 1000000)) || fail "rank $rank ended later than $limit s after the cut"
  [[ $code != 0 ]] || fail "rank $rank ended well"
  grep -qE "^FATAL rank=$((1 - rank)) .* msg=does not answer for $silence s \(stopped, or its host is gone\)$" \
    "$out/log.$rank" || fail "rank $rank does not name the other"
done
ranks=()
