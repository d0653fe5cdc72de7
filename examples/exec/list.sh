# Lists what runs, of whomever it is: Tidegate picks out what is its own.
. "$(dirname "$0")/common.sh"

comma=
printf '{"instances":['
for file in "$state"/*.json; do
    if running "$file"; then
        printf '%s' "$comma"
        cat "$file"
        comma=,
    fi
done
echo ']}'
