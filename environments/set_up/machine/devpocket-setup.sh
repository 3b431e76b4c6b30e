#!/bin/sh
# devpocket-setup [STEP]: do one step of this machine's set-up, or all that are left. Run as root; safe to run again.
# What is done is stamped in /var/lib/devpocket/done; a step that fails is tried again at the next boot.
set -u
root="${DEVPOCKET_ROOT:-}"
simulated="$root" # a machine of the local cloud shares its host: nothing is installed there
lib="$root/usr/local/lib/devpocket"
state="$root/var/lib/devpocket"
log="$root/var/log/devpocket/install.log"
user=devpocket
step_limit_s=1800

mkdir -p "$state/done" "${log%/*}"
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
tell() { printf '%s %s %s %s\n' "$(now)" "$1" "$2" "$3" >> "$state/progress"; }
stamped() {
    while IFS= read -r line || [ -n "$line" ]; do printf '%s [%s] %s\n' "$(now)" "$1" "$line"; done >> "$log"
}

do_step() { # do_step AS NAME: what it prints goes to the log
    if [ -n "$simulated" ]; then
        echo "$2: a simulated machine, nothing is installed"
    elif [ "$1" = root ]; then
        timeout -k 10 "$step_limit_s" sh "$lib/steps/$2"
    else
        timeout -k 10 "$step_limit_s" runuser -l "$user" -c "exec bash '$lib/steps/$2'"
    fi
}

do_listed() { # do_listed PERCENT SUBPHASE AS TRIES NAME MESSAGE
    tell "$1" "$2" "$6"
    try=1
    while :; do
        { do_step "$3" "$5" < /dev/null 2>&1; echo $? > "$state/status"; } 9>&- | stamped "$2"
        status=$(cat "$state/status")
        [ "$status" != 0 ] || break
        echo "$5: failed with status $status, try $try of $4" | stamped "$2"
        [ "$try" -lt "$4" ] || break
        sleep $((try * 5))
        try=$((try + 1))
    done
    if [ "$status" = 0 ]; then
        [ -n "$simulated" ] || sync # a stamp must not outlive what it stands for, when the power goes
        : > "$state/done/$5"
    else
        tell failed "$2" "$6: this did not work"
    fi
}

finish() {
    missing=
    while read -r _ _ _ _ name _; do
        [ "$name" = finish ] || [ -e "$state/done/$name" ] || missing="${missing:+$missing, }$name"
    done < "$lib/steps.list"
    if [ -z "$missing" ]; then
        : > "$state/done/finish"
        tell 100 completion "Set-up complete"
    else
        tell failed completion "Not installed: $missing"
    fi
}

if [ -z "$root" ]; then # cloud-init and a later boot's run may meet
    exec 9> "$state/lock"
    flock 9
fi
wanted="${1:-}"
while read -r percent phase as tries name message; do
    [ -z "$wanted" ] || [ "$wanted" = "$name" ] || continue
    [ ! -e "$state/done/$name" ] || continue
    if [ "$name" = finish ]; then finish; else do_listed "$percent" "$phase" "$as" "$tries" "$name" "$message"; fi
done < "$lib/steps.list"
exit 0
