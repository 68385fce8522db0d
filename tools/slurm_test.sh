#!/usr/bin/env bash
# Test in a Slurm job: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# GPUS in all (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS say how many and how.
set -euo pipefail
usage="usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]"
partition=${1:?$usage} job_name=${2:?$usage} config=${3:?$usage} checkpoint=${4:?$usage}
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
((per_node <= gpus)) || per_node=$gpus
# shellcheck disable=SC2086  # Several arguments in one variable.
exec srun --partition "$partition" --job-name "$job_name" --gres "gpu:$per_node" --ntasks "$gpus" \
    --ntasks-per-node "$per_node" --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher slurm "${@:5}"
