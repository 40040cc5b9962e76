#!/bin/bash
# A program that saves by itself and takes part in the protocol; `protocol.sh head` writes its table's head at each start.
set -e
step=0 total=0
[ -e state ] && read -r step total < state
if [ -e table ]; then head -n "$step" table > table.new; mv table.new table; fi
[ "$1" = head ] && echo "step total" >> table
tell() {
    [ -z "$OUTLAST_CONTROL" ] && return
    echo "$2" > "$OUTLAST_CONTROL/.$1"
    mv "$OUTLAST_CONTROL/.$1" "$OUTLAST_CONTROL/$1"
}
save() {
    echo "$step $total" > state.new
    mv state.new state
    tell progress.json "{\"store\": \"$PWD\", \"attempt\": 1, \"step\": $step, \"done\": $1}"
}
leave=
trap 'leave=1' TERM
tell program.json "{\"pid\": $$, \"store\": \"$PWD\"}"
[ "$step" = 60 ] && exit 0
while [ "$step" -lt 60 ]; do
    step=$((step + 1)) total=$((total + step * step))
    echo "$step $total" >> table
    sleep 0.02 || true
    if [ -n "$leave" ]; then save false; exit 85; fi
    if [ $((step % 7)) = 0 ]; then save false; fi
done
echo "$total" > result
save true
