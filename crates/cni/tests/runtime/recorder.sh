#!/bin/sh
# A CNI plugin for tests, under any name: it writes down how it was called and answers what the test has laid out.
# It is called through a link in LAB/bin, and everything else lies in LAB.
lab=$(dirname "$0")/..
name=$CNI_COMMAND.$(basename "$0")
echo "$name $CNI_CONTAINERID" | sed 's/ $//' >> "$lab/calls"
cat > "$lab/$name.stdin"
env | grep '^CNI_' | sort > "$lab/$name.env"
[ -e "$lab/$name.stderr" ] && cat "$lab/$name.stderr" >&2
[ -e "$lab/$name.failure" ] && { cat "$lab/$name.failure"; exit 1; }
[ -e "$lab/$name.answer" ] && cat "$lab/$name.answer"
exit 0
