#!/bin/bash
#SBATCH --job-name=md
#SBATCH --time=24:00:00

MAX_LINKS=30
link=$(cat link 2>/dev/null || echo 0)
srun run_md --deffnm prod --until 23.8h
status=$?
echo $((link + 1)) > link
case $status in
    0) echo "finished" ;;
    85) if [ "$link" -lt "$MAX_LINKS" ]; then sbatch "$0"; fi ;;
    *) echo "failed with $status in link $link" >&2 ;;
esac
