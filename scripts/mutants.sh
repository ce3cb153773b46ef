#!/usr/bin/env bash
# Breaks one rule of the core at a time, in a copy of the sources, and looks whether the random simulation finds it.
#
#   scripts/mutants.sh --list         the names of the mutants, and what each breaks
#   scripts/mutants.sh                runs all of them
#   scripts/mutants.sh NAME…          runs those
#
# A mutant is a patch in mutants/. What stands before its diff says which rule it breaks and which invariant that touches; a line
# `mode: liveness` there has it looked for in that mode of the soak, and `patience: 4` four times as long as the others. Nothing of
# the simulation is made for a mutant: the same program, the same seeds, from 1 on. The sources as they are must pass, first and last.
#
# Those that are not found, and why, are in mutants/unfound/ and docs/mutants.md; they run as unfound/NAME, and not among all.
#
# One row for each: name, seeds until it was found, seconds that the seeds took, what found it. Exits with 0 only if each was found.
#
#   CARGO_PROFILE_DEV_OPT_LEVEL   0 builds faster and simulates slower (1)
#   QUORATE_MUTANT_SEEDS     how many seeds at most (1000)
#   QUORATE_MUTANT_MINUTES   how long at most, by the wall (1.5)
#   QUORATE_BASELINE_SEEDS   how many seeds the sources as they are must pass, in each mode that is needed (100; 0 for none)
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
work=$root/target/mutants
tree=$work/tree
seeds=${QUORATE_MUTANT_SEEDS:-1000}
minutes=${QUORATE_MUTANT_MINUTES:-1.5}
baseline=${QUORATE_BASELINE_SEEDS:-100}

names() { for file in mutants/*.patch; do basename "$file" .patch; done; }

if [[ ${1:-} == --list ]]; then
    for name in $(names); do printf '%-32s %s\n' "$name" "$(head -n 1 "mutants/$name.patch")"; done
    exit 0
fi
(($# > 0)) || mapfile -t all < <(names)
(($# > 0)) && all=("$@")
for name in "${all[@]}"; do
    [[ -f mutants/$name.patch ]] || { echo "there is no mutant $name; --list names them" >&2; exit 2; }
done

export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_OPT_LEVEL=${CARGO_PROFILE_DEV_OPT_LEVEL:-1}
soak=$CARGO_TARGET_DIR/debug/examples/soak
mkdir -p "$tree"
# A compiler that was killed while it worked on a mutant may leave objects of it that are taken for those of the sources later.
[[ ! -e $work/unfinished ]] || rm -rf "$CARGO_TARGET_DIR/debug/incremental"
touch "$work/unfinished"
fifo=$work/fifo.$$
mkfifo "$fifo"
trap 'rm -f "$fifo"' EXIT

# Makes the copy what is tracked. What differs gets a new time of change, or cargo would not build it again.
restore() {
    local file
    while IFS= read -r -d '' file; do
        [[ -f $file ]] || continue
        if ! cmp -s "$file" "$tree/$file"; then
            mkdir -p "$tree/$(dirname "$file")"
            cp "$file" "$tree/$file"
            touch "$tree/$file"
        fi
    done < <(if (($# > 0)); then printf '%s\0' "$@"; else git ls-files -z; fi)
}

build() { (cd "$tree" && cargo build --quiet --features sim --example soak 2>"$work/build.log"); }

# said_of NAME WHAT OTHERWISE: what the head of a patch says of something.
said_of() {
    local value
    value=$(sed -n "/^--- /q; s/^$2: //p" "mutants/$1.patch")
    echo "${value:-$3}"
}

# Runs seeds until one fails. Sets `tried`, `found` (empty if none) and `took`.
hunt() {
    local mode=$1 most=$2 limit=$3 line began=$EPOCHREALTIME pid
    tried=0 found=
    # The program looks at the time between seeds only; a seed that never ends is ended from outside.
    timeout "$(awk "BEGIN { print int($limit * 60) + 60 }")" \
        "$soak" --mode "$mode" --seed 1 --seeds "$most" --minutes "$limit" --jobs 1 --shrink 0 --verbose \
        --out "$work/soak" >"$fifo" 2>&1 &
    pid=$!
    while IFS= read -r line; do
        case $line in
        'seed '*)
            tried=$((tried + 1))
            if [[ $line == *': FAILED '* ]]; then
                found=${line##*': FAILED '}
                kill "$pid" 2>/dev/null || true
                break
            fi
            ;;
        *' panicked at '*)
            tried=$((tried + 1))
            found="a panic: ${line##*panicked at }"
            kill "$pid" 2>/dev/null || true
            break
            ;;
        esac
    done <"$fifo"
    local status=0
    wait "$pid" 2>/dev/null || status=$?
    took=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $began }")
    if [[ -z $found ]] && ((status != 0)); then
        found="the program ended with status $status"
        ((status == 124)) && found="a seed that does not end"
    fi
}

row() { printf '| %-32s | %5s | %7s | %s |\n' "$1" "$2" "$3" "$(tr '|' '/' <<<"$4" | cut -c 1-150)"; }

# The sources as they are must pass, or nothing that is found says anything.
unbroken() {
    local mode modes=safety
    build || { cat "$work/build.log" >&2; exit 1; }
    for name in "${all[@]}"; do [[ $(said_of "$name" mode safety) == liveness ]] && modes='safety liveness'; done
    for mode in $modes; do
        hunt "$mode" "$baseline" 10
        if [[ -n $found ]]; then
            echo "the sources as they are fail in $mode mode, seed $tried: $found" >&2
            exit 1
        fi
        row "(none, $mode)" "$tried" "$took" "passes, as it must"
    done
}

restore
((baseline == 0)) || unbroken

missed=0
for name in "${all[@]}"; do
    mapfile -t touched < <(sed -n 's/^+++ b\///p' "mutants/$name.patch")
    if ! patch -s -p1 -F3 --no-backup-if-mismatch -d "$tree" <"mutants/$name.patch" >"$work/patch.log" 2>&1; then
        row "$name" - - "DOES NOT APPLY: $(head -n 1 "$work/patch.log")"
        missed=$((missed + 1))
    else
        (cd "$tree" && touch "${touched[@]}")
        if ! build; then
            row "$name" - - "DOES NOT COMPILE: $(grep -m 1 '^error' "$work/build.log")"
            missed=$((missed + 1))
        else
            patience=$(said_of "$name" patience 1)
            hunt "$(said_of "$name" mode safety)" "$((seeds * patience))" "$(awk "BEGIN { print $minutes * $patience }")"
            if [[ -n $found ]]; then
                row "$name" "$tried" "$took" "$found"
            else
                row "$name" "$tried" "$took" "NOT FOUND"
                missed=$((missed + 1))
            fi
        fi
    fi
    (cd "$tree" && rm -f "${touched[@]/%/.rej}" "${touched[@]/%/.orig}")
    restore "${touched[@]}"
done
# Once more, in case that something of a mutant was left.
((baseline == 0)) || unbroken
rm "$work/unfinished"
echo "${#all[@]} mutants, $missed not found"
((missed == 0))
