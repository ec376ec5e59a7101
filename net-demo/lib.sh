# What the demos are written in. Each sources it first, and is then in a lab: a machine of its own that is gone when it ends.
#
#   say WORDS...            says what comes next
#   run COMMAND...          shows the command, runs it, shows what it prints; it has to succeed
#   fails COMMAND...        likewise, but it has to fail
#   shows TEXT              what was printed last has to have this in it
#   awaits TEXT COMMAND...  run and shows, as soon as it does: what a container writes is in its log a moment later
#   starts COMMAND...       shows the command, which goes on beside what follows and ends with the demo
#   loses_none COMMAND...   shows how many requests a ping whose output this is has sent until now, and how many replies there
#                           were: as many, and more as soon as it goes on
#
# A demo that needs several hosts says how many before (hosts=3).
#
# SEALANE_CNI_BIN names a folder with `sealane` and the plugins to use; without it they are built.
set -eu

stop() {
    [ ! -e "${beside:-}" ] || cat "$beside" >&2 # why, perhaps
    printf 'net-demo/%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

build() {
    command -v cargo >/dev/null || stop "cargo is not there to build sealane with; https://rustup.rs has it"
    cd "$here/.."
    quiet=--quiet
    [ -e target/*/debug/demo/sealane ] || quiet= # the first time it takes a while, so it is seen
    built=$(cargo build $quiet --package cli --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    [ -n "$built" ] || exit 1 # cargo has said why
    bin=${built%/*}/demo
    mkdir -p "$bin"
    for name in sealane $("$built" plugins); do
        ln -f "$built" "$bin/$name"
    done
}

if [ -z "${SEALANE_LAB:-}" ]; then
    here=$(cd "$(dirname "$0")" && pwd)
    bin=${SEALANE_CNI_BIN:-}
    [ -n "$bin" ] || build
    export PATH="$bin:$PATH" CNI_PATH="$bin"
    exec "$bin/sealane" lab --hosts "${hosts:-1}" -- "$here/${0##*/}"
fi

bold= green= dim= plain=
if { [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; } || [ "${CLICOLOR_FORCE:-0}" != 0 ]; then
    bold=$(printf '\033[1m') green=$(printf '\033[32m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi

beside=/run/beside # the lab's own

say() { printf '\n%s# %s%s\n' "$green" "$*" "$plain"; }

# What the command printed is in $shown, how it ended in $status.
try() {
    command=$*
    printf '%s$ %s%s\n' "$bold" "$command" "$plain"
    status=0
    shown=$("$@" 2>&1) || status=$?
    [ -z "$shown" ] || printf '%s\n' "$shown"
}

run() {
    try "$@"
    [ "$status" = 0 ] || stop "\`$command\` should succeed, and ended with exit status $status"
}

fails() {
    try "$@"
    [ "$status" != 0 ] || stop "\`$command\` should fail, and succeeded"
    printf '%s(exit status %s, as it should be)%s\n' "$dim" "$status" "$plain"
}

shows() {
    case $shown in
    *"$1"*) ;;
    *) stop "\`$command\` should show \"$1\", and showed: $shown" ;;
    esac
}

awaits() {
    wanted=$1 tries=0
    shift
    command=$*
    while [ $tries -lt 200 ]; do
        if shown=$("$@" 2>&1); then
            case $shown in *"$wanted"*) break ;; esac
        fi
        tries=$((tries + 1))
    done
    if [ $tries = 200 ]; then
        run "$@"
    else
        printf '%s$ %s%s\n%s\n' "$bold" "$command" "$plain" "$shown"
    fi
    shows "$wanted"
}

starts() {
    printf '%s$ %s &%s\n' "$bold" "$*" "$plain"
    "$@" >>"$beside" 2>&1 &
}

loses_none() {
    command=$* tries=0
    count "$@"
    goal=$((last + 10))
    while [ $last -lt $goal ] && [ $tries -lt 1000 ]; do
        tries=$((tries + 1))
        count "$@"
    done
    printf '%s$ %s%s\n%s requests until the latest reply, %s replies\n' "$bold" "$command" "$plain" $last $replies
    [ $last -ge $goal ] || stop "\`$command\` should show replies, and the last was to request $last"
    [ $last = $replies ] || stop "\`$command\` should show a reply to each of $last requests, and showed $replies"
}

# Those that a ping has heard are $replies, and the number of the last is $last.
count() {
    replies=0 last=0 shown=$("$@" 2>&1) || :
    while read -r line; do
        case $line in *icmp_seq=*" time="*) ;; *) continue ;; esac
        replies=$((replies + 1)) last=${line#*icmp_seq=}
        last=${last%% *}
    done <<END
$shown
END
}
