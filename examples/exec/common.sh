# What the three scripts share. An instance is a process and a file with what is known of it: that file
# stands for the tags that a cloud or a container engine keeps.

state=${TIDEGATE_EXAMPLE_STATE:-${TMPDIR:-/tmp}/tidegate-example-exec}
mkdir -p "$state"

read -r order

# The text of a field. Names never need escaping, so this is enough for them; use jq for settings.
field() {
    printf '%s' "$order" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

owner=$(field owner)
fleet=$(field fleet)
instance=$(field instance)
file="$state/$instance.json"

# The process of an instance's file, if it still runs.
running() {
    pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$1" 2>/dev/null)
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}
