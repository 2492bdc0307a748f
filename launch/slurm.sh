#!/bin/bash
# Two nodes of eight GPUs; the workspace lies on a file system that both see.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#
#   sbatch launch/slurm.sh report@cityscapes
#
# DVC runs on the first node and decides what is out of date; stages.launch starts each stage on both
# through the prefix.
set -euo pipefail
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export SEMFLOW_LAUNCH="srun torchrun --nnodes $SLURM_JOB_NUM_NODES \
--nproc_per_node $SLURM_GPUS_ON_NODE --rdzv_id $SLURM_JOB_ID --rdzv_backend c10d \
--rdzv_endpoint ${nodes[0]}:${MASTER_PORT:-29500} --no-python"
exec dvc repro "$@"
