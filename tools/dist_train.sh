#!/usr/bin/env bash
# Train on several devices of this machine: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# On several machines set NNODES, NODE_RANK and MASTER_ADDR, on each of them.
set -euo pipefail
config=${1:?usage: $0 CONFIG PROCESSES [options of tools/train.py]}
processes=${2:?usage: $0 CONFIG PROCESSES [options of tools/train.py]}
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$processes" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${MASTER_PORT:-29500}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
