# Stops an instance. One that is gone already is stopped.
. "$(dirname "$0")/common.sh"

if running "$file"; then
    kill "$pid"
    # Until it has finished its requests; Tidegate ends this script if that takes too long.
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
fi
rm -f "$file" "$state/$instance.log"
echo '{}'
