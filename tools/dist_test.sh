#!/usr/bin/env bash
# Test on several devices of this machine: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# On several machines set NNODES, NODE_RANK and MASTER_ADDR, on each of them.
set -euo pipefail
config=${1:?usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]}
checkpoint=${2:?usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]}
processes=${3:?usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]}
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$processes" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${MASTER_PORT:-29500}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
