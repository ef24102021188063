#!/usr/bin/env bash
# Run everything that needs a GPU on a machine that has one and little else: Python with torch, numpy, pandas, pyarrow,
# scipy, seaborn, safetensors, pydantic, xxhash, zstandard, pytest and hypothesis; no Snakemake, no spaCy, no network.
#
#   benchmarks/gpu.sh FOLDER
#
# FOLDER is the working directory of an experiment whose text Snakemake has prepared elsewhere:
#   snakemake --cores 2 results/data/enwiki/{words.parquet,tokens/train.npy} --configfile experiments/enwiki-gpu.yaml
# Copy results/data/NAME/{vocabulary.parquet,words.parquet,tokens/train.npy,tokens/dev.npy}. This script uses
# Snakemake's paths and commands, so that Snakemake can go on from its results.
#
# Each part writes FOLDER/gpu/PART.log as it goes, and is skipped when it is done: run the script again after an
# interruption, which costs at most the piece of epochs under way. A part runs again if its command, or a part that it
# follows from, has changed. Variables, with their defaults:
#   PARTS="tests benchmarks run"  SECONDS_LEFT=600  DEVICE=cuda  PYTHON=python3
#   DATA=enwiki  MODEL=lstm  SEEDS="1 2 3"  EPOCHS=50  PIECE=10 (epochs trained before they are probed)
#   TRAINING, PROBE, ARCHITECTURE, STATISTICS: JSON blocks of the configuration; by default, experiments/enwiki-gpu.yaml's
#   VOCABULARY=19500  REPEATS=3: of the benchmarks; a try with VOCABULARY=300 REPEATS=1 takes seconds
set -uo pipefail
code=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON-python3}
[[ $PYTHON != */* ]] || PYTHON=$(realpath -s "$PYTHON") # relative to where the script was called
cd "${1:?give the working directory of the experiment}" || exit 1
export PYTHONPATH=$code/src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
PARTS=${PARTS-tests benchmarks run} SECONDS_LEFT=${SECONDS_LEFT-600} DEVICE=${DEVICE-cuda}
DATA=${DATA-enwiki} MODEL=${MODEL-lstm} SEEDS=${SEEDS-1 2 3} EPOCHS=${EPOCHS-50} PIECE=${PIECE-10}
TRAINING=${TRAINING-'{"evaluation_batch": 40, "matmul_precision": "high"}'} ARCHITECTURE=${ARCHITECTURE-'{}'} STATISTICS=${STATISTICS-'{}'}
PROBE=${PROBE-'{"batch": 1280, "matmul_precision": "high"}'}
VOCABULARY=${VOCABULARY-19500} REPEATS=${REPEATS-3}
for name in SECONDS_LEFT EPOCHS PIECE VOCABULARY REPEATS; do
    [[ ${!name} =~ ^(0|[1-9][0-9]*)$ ]] && continue
    echo "gpu: $name: ${!name} is not a whole number" && exit 1
done
for name in $PARTS; do
    [[ " tests benchmarks run " == *" $name "* ]] && continue
    echo "gpu: PARTS: there is no part $name; the parts are tests, benchmarks and run" && exit 1
done
data=results/data/$DATA logs=gpu failed=0 after=
mkdir -p "$logs"
# A signal to the whole group reaches the part too; when it has ended, so does the script.
trap 'exit 130' INT
trap 'exit 143' TERM

# Do one part, unless this command is done since the part named by $after: part NAME COMMAND...
part() {
    local name=$1 left=$((SECONDS_LEFT - SECONDS)) start=$SECONDS
    shift
    local done=$logs/$name.done
    [[ -e $done && $(< "$done") == "$*" && ! $logs/$after.done -nt $done ]] && return 0
    if ((left < 5)); then
        echo "gpu: $name: no time left; run again to go on"
        failed=1
        return 1
    fi
    rm -f "$done"
    if timeout --foreground --signal TERM --kill-after 20 "$left" "$@" > "$logs/$name.log" 2>&1; then
        echo "$*" > "$done"
        echo "gpu: $name: $((SECONDS - start)) s"
    else
        failed=1
        echo "gpu: $name: FAILED after $((SECONDS - start)) s; the end of $logs/$name.log:"
        tail -n 25 "$logs/$name.log"
        return 1
    fi
}

command() { part "$1" "$PYTHON" -m natural_sparsity "${@:2}"; }

benchmark() {
    part "$1" "$PYTHON" "$code/benchmarks/$2.py" --device "$DEVICE" --output "$logs" "${@:3}" || return
    grep -h times "$logs/$1.log"
}

benchmarks() {
    benchmark training training --vocabulary "$VOCABULARY" --repeats "$REPEATS"
    benchmark training-high training --vocabulary "$VOCABULARY" --precision high --repeats "$REPEATS"
    for batch in 40 1280; do
        benchmark "probe-$batch" probe --vocabulary "$VOCABULARY" --batch "$batch" --repeats "$REPEATS"
        benchmark "probe-$batch-high" probe --vocabulary "$VOCABULARY" --batch "$batch" --precision high --repeats "$REPEATS"
    done
}

# Probe checkpoints of the seed under way: probe NAME CHECKPOINT...
probe() {
    local paths=("${@:2}")
    paths=("${paths[@]/#/$run/}")
    command "probe-$1" probe --tokens "$data/tokens/train.npy" --checkpoint "${paths[@]}" --named "${@:2}" \
        --expect "$expect, \"condition\": \"frozen\"}" --condition frozen --probe "$PROBE" --device "$DEVICE" \
        --output "${paths[@]/%//frozen.parquet}"
}

# One seed: probe the untrained model, train and probe a piece of the epochs at a time, then correlate.
seed() {
    local run=results/runs/$DATA/$MODEL/seed$1 analysis=results/experiments/gpu/$DATA/$MODEL/seed$1/frozen
    local after= expect="{\"data\": \"$DATA\", \"model\": \"$MODEL\", \"seed\": $1, \"folded\": false" first last before=init
    command "init-$1" initialise --data "$DATA" --kind text --block '{}' --vocabulary "$data/vocabulary.parquet" \
        --model "$MODEL" --architecture "$ARCHITECTURE" --training "$TRAINING" --seed "$1" --checkpoint "$run/init" || return
    after=init-$1
    probe "$1-init" init || return
    for ((first = 1; first <= EPOCHS; first += PIECE)); do
        last=$((first + PIECE - 1 < EPOCHS ? first + PIECE - 1 : EPOCHS))
        local epochs=($(seq "$first" "$last"))
        command "train-$1-$last" train --from "$run/$before" --train "$data/tokens/train.npy" --dev "$data/tokens/dev.npy" \
            --expect "$expect}" --epochs "${epochs[@]}" --training "$TRAINING" --sparsify '{}' --device "$DEVICE" \
            --checkpoint "${epochs[@]/#/$run/epoch}" || return
        before=epoch$last after=train-$1-$last
        probe "$1-$last" "${epochs[@]/#/epoch}" || return
    done
    after=probe-$1-$EPOCHS
    local all=($(seq "$EPOCHS"))
    all=("${all[@]/#/$run/epoch}")
    local probes=("$run/init/frozen.parquet" "${all[@]/%//frozen.parquet}")
    command "correlate-$1" correlate --probes "${probes[@]}" --words "$data/words.parquet" \
        --expect "$expect, \"condition\": \"frozen\"}" --statistics "$STATISTICS" \
        --correlations "$analysis/correlations.parquet" --differences "$analysis/differences.parquet" || return
    after=correlate-$1
    command "claims-$1" tabulate claims --probes "${probes[@]}" --words "$data/words.parquet" \
        --statistics "$STATISTICS" --checkpoints "${all[@]/%//state.json}" \
        --title "Claims: $DATA, $MODEL, seed $1" --output "$analysis/claims" || return
    command "fig3a-$1" draw fig3a --correlations "$analysis/correlations.parquet" \
        --checkpoints "${all[@]/%//state.json}" --output "$analysis/fig3a"
}

for name in $PARTS; do
    case $name in
        tests) part tests env -C "$code" TEST_DEVICE="$DEVICE" "$PYTHON" -m pytest -m gpu -p no:cacheprovider tests/test_gpu.py ;;
        benchmarks) benchmarks ;;
        run) for number in $SEEDS; do seed "$number" || break; done ;;
    esac
done
exit $failed
