#!/bin/bash -l
#SBATCH -J "busy script" -N 2 --ntasks-per-node 4
#SBATCH -t 1-12
#SBATCH -p normal # the default
#SBATCH --exclusive

set -euo pipefail
shopt -s extglob nullglob

usage() {
    cat <<-USAGE
	usage: sbatch $0 it's [fold]
	USAGE
}

function log { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

[[ ${1:-} =~ ^(-h|--help)$ ]] && { usage; exit 0; }
declare -A lr=([small]=1e-3 [big]=1e-4)
args=(--epochs 90 --name "a b" $(( 3 * (1 + 2) )))
for size in "${!lr[@]}"; do
    case "$size" in
        (small | tiny) nodes=1 ;;
        big) nodes=2 ;& *) log "size $size" ;;
    esac
    for i do :; done
    until [[ -d "out/$size" ]]; do mkdir -p "out/$size" || break; done
    if ! srun -N "${nodes:-1}" python train.py --lr "${lr[$size]}" "${args[@]}" > >(tee -a "out/$size/log") 2>&1; then
        log "failed: $?"
    elif ((SECONDS > 3600)) && [ "$size" = big -o "$size" \> small ]; then
        log 'took long' `hostname`
    else
        { echo "# no comment"; cat out/!(x)/log; } | sort -u | head -n 5 || true
    fi
done
[ -f out/old ] && rm -r out/old; diff <(ls a) <(ls b) || :
cat <<"EOF" > job.sh
#SBATCH --time=1
trap nothing USR1 $( ' "
EOF
python - "$USER" <<EOF
print("$(hostname)")
EOF
