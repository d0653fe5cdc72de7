#!/usr/bin/env bash
# Chaos beside steady load: bench/chaos.sh [DURATION] [SEED]. Needs curl and jq.
set -euo pipefail
duration=${1:-1h} seed=${2:-1}
root=$(cd "$(dirname "$0")/.." && pwd)
tidegate=${TIDEGATE:-$root/target/release/tidegate}
[ -x "$tidegate" ] || { echo "build it first: cargo build --release" >&2; exit 3; }
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
# New instances are of the binary that the gateway began with, whatever is built meanwhile.
cp "$tidegate" "$folder/tidegate"; tidegate=$folder/tidegate
cat > "$folder/app.lua" <<'LUA'
local x = 0 for i = 1, 2000 do x = x + i % 7 end ngx.say(x)
LUA
cat > "$folder/tidegate.yaml" <<'YAML'
listeners: [{ address: 127.0.0.1:18000 }]
admin: { address: 127.0.0.1:19000 }
chaos: { enabled: true }
state: false
fleets:
  app:
    run: { lua: app.lua }
    grace: 5s
    scale:
      min: 3
      max: 6
      pools:
        steady: { kind: onDemand, price: 0.1 }
        spot-a: { kind: spot, price: 0.03, interruption: 5%, max: 4 }
        spot-b: { kind: spot, price: 0.03, interruption: 5%, max: 4 }
  threads: { run: { lua: app.lua }, driver: thread, grace: 5s, scale: { min: 2, max: 4, price: 0.05 } }
upstreams: { app: { fleet: app }, threads: { fleet: threads } }
routes:
  - { name: threads, match: { path: /threads }, upstream: threads }
  - { name: app, match: { path: /* }, upstream: app }
YAML
# A session of its own: whatever is in it belongs to the gateway.
setsid "$tidegate" up "$folder/tidegate.yaml" 2> "$folder/log" &
gateway=$!
until curl -sf -o /dev/null http://127.0.0.1:19000/readyz; do kill -0 "$gateway"; sleep 0.1; done
# The load begins before and ends after everything that goes wrong.
sample() {
    printf '%s %s %s %s\n' "$(date +%s)" "$(awk '/VmRSS/ { print $2 }' "/proc/$gateway/status")" \
        "$(ls "/proc/$gateway/fd" | wc -l)" "$(pgrep -cP "$gateway" || true)"
}
for path in "" threads; do
    "$tidegate" load "http://127.0.0.1:18000/$path" --rate 150 --duration "$duration" --format json --quiet > "$folder/load-${path:-app}" &
    loads="${loads:-} $!"
done
sleep 5
"$tidegate" chaos --admin 127.0.0.1:19000 --seed "$seed" --duration "$duration" --settle 1m --format json > "$folder/chaos" &
chaos=$!
echo "second rss_kib files children"
while kill -0 "$chaos" 2>/dev/null; do sample | tee -a "$folder/samples"; sleep 10; done
wait "$chaos"
for load in $loads; do wait "$load"; done
sample | tee -a "$folder/samples"
cat "$folder/chaos"
for fleet in app threads; do echo; "$tidegate" explain "$fleet" --admin 127.0.0.1:19000 --limit 10; done
kill "$gateway"
wait "$gateway" || true
if pgrep -s "$gateway" > /dev/null; then echo "processes are left over:" >&2; pgrep -as "$gateway" >&2; exit 1; fi
jq -s '{requests: (map(.requests) | add), failed: (map(.failed) | add), errors: map(.errors), p99Ms: map(.latency.p99Ms)}' \
    "$folder"/load-*
jq -es '(map(.failed) | add) <= 0.0001 * (map(.requests) | add)' "$folder"/load-* > /dev/null || { echo "too many requests failed" >&2; exit 1; }
# A quarter of the way in everything is warm: from there on nothing grows by more than a tenth.
awk '{ rss[NR] = $2; files[NR] = $3; children[NR] = $4 }
     END { q = int(NR / 4) + 1
           if (rss[NR] > rss[q] * 1.1 + 8192) { print "memory grew from " rss[q] " to " rss[NR] " KiB"; bad = 1 }
           if (files[NR] > files[q] * 1.1 + 64) { print "files grew from " files[q] " to " files[NR]; bad = 1 }
           if (children[NR] > children[q] + 6) { print "processes grew from " children[q] " to " children[NR]; bad = 1 }
           exit bad }' "$folder/samples" >&2
