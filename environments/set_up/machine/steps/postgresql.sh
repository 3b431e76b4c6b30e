# PostgreSQL whose data are on the volume, which outlives the machine; the user is its superuser.
set -eu
. /usr/local/lib/devpocket/apt.sh
export LANG=C.UTF-8
mkdir -p /etc/postgresql-common /etc/systemd/system/postgresql@.service.d
echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
printf '[Unit]\nRequiresMountsFor=/home/devpocket\n' > /etc/systemd/system/postgresql@.service.d/devpocket.conf
apt_install postgresql
version=$(ls /usr/lib/postgresql | sort -n | tail -n 1)
if [ ! -e "/etc/postgresql/$version/main" ]; then
    for dir in .local .local/share .local/share/postgresql; do
        install -d -o devpocket -g devpocket "/home/devpocket/$dir"
    done
    # A volume that has a cluster of this version is taken as it is.
    # The group of the directory for its socket and PID file.
    pg_createcluster --user devpocket --group postgres --socketdir /var/run/postgresql --encoding UTF8 \
        --datadir "/home/devpocket/.local/share/postgresql/$version" "$version" main
fi
systemctl daemon-reload
systemctl start "postgresql@$version-main"
as_user() { runuser -u devpocket -- "$@"; }
as_user psql --dbname template1 --list --quiet --tuples-only --no-align | grep -q '^devpocket|' || as_user createdb devpocket
