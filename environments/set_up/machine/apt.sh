# For the steps that install packages.
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

apt_get() { # waits for what a new machine installs by itself
    apt-get -q -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

apt_update() { # the lists' lock is not waited for, and a new machine's own update may hold it
    for try in 1 2 3 4 5; do
        apt_get update && return
        sleep 10
    done
    return 1
}

apt_has() { apt-cache show --no-all-versions "$1" > /dev/null 2>&1; }

apt_install() { # apt_install PACKAGE...: of "a|b|c" the first that the distribution has
    chosen=
    for wanted in "$@"; do
        name=${wanted%%|*}
        for choice in $(printf '%s' "$wanted" | tr '|' ' '); do
            if [ "$choice" = "$wanted" ] || apt_has "$choice"; then
                name=$choice
                break
            fi
        done
        chosen="$chosen $name"
    done
    dpkg --configure -a # a reboot may have come in the middle of the last try
    # shellcheck disable=SC2086 -- names of packages have no blanks
    apt_get install -y --no-install-recommends -- $chosen
}
