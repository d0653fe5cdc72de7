# A market of servers: `market.sh start|stop|list` for Tidegate, and `market.sh reclaim [SECONDS]`, which takes all spot
# instances back after a notice; `market.sh clear` ends all there are. An instance is a process and a file with its tags.

state=${TIDEGATE_EXAMPLE_STATE:-${TMPDIR:-/tmp}/tidegate-example-spot}
mkdir -p "$state"

# Whether the process of an instance's file runs; its tags are in $tags. Without other programs, as it is asked often.
running() {
    [ -r "$1" ] && read -r tags <"$1" || return 1
    pid=${tags##*\"pid\":}
    kill -0 "${pid%%[!0-9]*}" 2>/dev/null
}

# The text of a field of the order. Names never need escaping, so this is enough for them.
field() {
    printf '%s' "$order" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

case $1 in
start)
    read -r order
    instance=$(field instance)
    file="$state/$instance.json"
    if ! running "$file"; then
        rm -f "$file"
        # It writes the file when it listens. Away from this script's output, which Tidegate reads to its end.
        setsid python3 "$(dirname "$0")/server.py" "$file" "$instance" "$(field owner)" "$(field fleet)" \
            "$(field revision)" "$(field pool)" >/dev/null 2>&1 </dev/null &
        while [ ! -e "$file" ]; do
            kill -0 $! 2>/dev/null || { echo "the server has ended" >&2; exit 1; }
            sleep 0.05
        done
    fi
    cat "$file"
    ;;
stop)
    read -r order
    file="$state/$(field instance).json"
    running "$file" && kill "${pid%%[!0-9]*}"
    rm -f "$file"
    echo '{}'
    ;;
list)
    comma=
    printf '{"instances":['
    for file in "$state"/*.json; do
        if running "$file"; then
            printf '%s%s' "$comma" "$tags"
            comma=,
        fi
    done
    echo ']}'
    ;;
reclaim)
    taken=
    for file in "$state"/*.json; do
        case $(cat "$file" 2>/dev/null) in
        *'"pool":"spot-'*'"leaving":false'*)
            sed 's/"leaving":false/"leaving":true/' "$file" >"$file.new" && mv "$file.new" "$file"
            taken="$taken $file"
            ;;
        esac
    done
    sleep "${2:-10}"
    for file in $taken; do
        running "$file" && kill -9 "${pid%%[!0-9]*}"
        rm -f "$file"
    done
    ;;
clear)
    # What is still booting finds no place for its file, and ends.
    for file in "$state"/*.json; do
        running "$file" && kill -9 "${pid%%[!0-9]*}"
    done
    rm -rf "$state"
    ;;
esac
