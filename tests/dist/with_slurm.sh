#!/usr/bin/env bash
# with_slurm.sh COMMAND...: runs COMMAND beside a real Slurm of one node, started for it; ends with its exit code, or with
# 77 (skipped) where there can be none.
set -uo pipefail
source "$(dirname "$0")/slurm_cluster.sh"

need_slurm
folder=$(mktemp -d)
trap 'stop_slurm; rm -rf "$folder"' EXIT
trap 'exit 143' TERM
start_slurm "$folder" || exit 1
unset OMPI_MCA_btl
"$@"
