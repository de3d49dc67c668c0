# A Slurm of one node that belongs to the test that sources this file: munged, slurmctld and slurmd in a temporary
# folder, on free ports, as root. Nothing of an installed Slurm is read or touched.
#
#   need_slurm            ends the test with 77 (skipped) and the reason where Slurm cannot be started
#   start_slurm FOLDER    returns when the node takes jobs; srun and sinfo then speak to it
#   stop_slurm            ends the three daemons and waits for them

slurm_pids=()

skip() {
  echo "skipped: $*"
  exit 77
}

need_slurm() {
  local program missing=()
  for program in munged mungekey slurmctld slurmd srun; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("$program")
  done
  ((${#missing[@]} == 0)) || skip "${missing[*]} not found; the packages slurm-wlm and munge bring them"
  ((EUID == 0)) || skip "a Slurm of one's own can only be started by root"
  compgen -G '/usr/lib/*/slurm*/mpi_pmix*.so' >/dev/null || skip "this Slurm has no PMIx plugin"
}

free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

write_slurm_conf() {
  local folder=$1 host=$2 controller_port node_port
  read -r controller_port node_port < <(free_ports 2)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=cornstarch
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=1000
PartitionName=all Nodes=$host Default=YES OverSubscribe=YES State=UP
CONF
}

start_daemon() {
  "$@" &
  slurm_pids+=($!)
}

start_slurm() {
  local folder=$1 host
  host=$(hostname -s)
  # munge wants folders that all may enter and only their owner may change.
  chmod 755 "$folder"
  mkdir -m 755 "$folder"/{munge,state,spool}
  write_slurm_conf "$folder" "$host"
  export PATH=$PATH:/usr/sbin SLURM_CONF=$folder/slurm.conf
  mungekey --create --keyfile="$folder/munge/key"
  start_daemon munged --foreground --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" >"$folder/munged.log" 2>&1
  for _ in {1..100}; do [[ -S $folder/munge/socket ]] && break || sleep 0.1; done
  start_daemon slurmctld -D >"$folder/slurmctld.out" 2>&1
  start_daemon slurmd -D >"$folder/slurmd.out" 2>&1
  for _ in {1..200}; do
    [[ $(sinfo -h -o %T 2>/dev/null) == idle ]] && return
    sleep 0.1
  done
  echo "the node of the test's Slurm did not become idle within 20 s:" >&2
  tail -n 5 "$folder"/{munged,slurmctld,slurmd}.log >&2
  return 1
}

stop_slurm() {
  # The newest first: slurmd takes its leave of slurmctld, and both need munged for it.
  local at
  for ((at = ${#slurm_pids[@]} - 1; at >= 0; --at)); do
    kill "${slurm_pids[at]}" 2>/dev/null && wait "${slurm_pids[at]}" 2>/dev/null || true
  done
  slurm_pids=()
}
