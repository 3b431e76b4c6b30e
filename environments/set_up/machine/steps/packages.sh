# The template's packages, and the signed sources that some of them come from.
set -eu
. /usr/local/lib/devpocket/apt.sh
. /etc/os-release
for source in /usr/local/lib/devpocket/sources/*.sources; do
    [ -e "$source" ] || continue
    sed -e "s/{codename}/$VERSION_CODENAME/g" -e "s/{distribution}/$ID/g" "$source" \
        > "/etc/apt/sources.list.d/${source##*/}"
done
apt_update
set --
while read -r package; do set -- "$@" "$package"; done < /usr/local/lib/devpocket/packages.list
[ $# -eq 0 ] || apt_install "$@"
