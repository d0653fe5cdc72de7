# Starts an instance, unless it is there already: then it says where.
. "$(dirname "$0")/common.sh"
set -e

if ! running "$file"; then
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # A session of its own, or it would end with this script's; and away from this script's output, which
    # Tidegate reads to its end.
    setsid python3 "$(dirname "$0")/../command/server.py" "$port" >"$state/$instance.log" 2>&1 </dev/null &
    printf '{"instance":"%s","owner":"%s","fleet":"%s","revision":"%s","endpoint":"127.0.0.1:%s","pid":%s}\n' \
        "$instance" "$owner" "$fleet" "$(field revision)" "$port" "$!" >"$file.new"
    mv "$file.new" "$file"
fi
cat "$file"
