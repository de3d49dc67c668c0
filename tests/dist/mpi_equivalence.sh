#!/bin/bash
# mpi_equivalence.sh PROGRAM: layouts of the equivalence table over MPI, with 2 to 27 processes.
set -u
program=$1
if ! command -v mpirun > /dev/null; then
  echo "skipped: there is no mpirun on this machine (package openmpi-bin)"
  exit 77
fi
export OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
for ranks in 2 3 4 6 8 27; do
  timeout -k 5 240 "$(dirname "$0")/../../scripts/mpirun-local" -n $ranks "$program" || exit 1
done
