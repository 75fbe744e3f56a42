#!/bin/sh
# Tests of the database also run on PostgreSQL, in a server of their own; root on Debian gets the
# programs installed. No service is started or changed.
set -eu

if command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing PostgreSQL for the database tests (about a minute)."
    apt-get update -qq
    # Debian makes and starts a cluster at installation unless told not to.
    mkdir -p /etc/postgresql-common
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
    exit 0
fi
echo "error: the database tests need the PostgreSQL server programs. Install the package postgresql" \
    "(Debian, Fedora: postgresql-server), then run make test again." >&2
exit 2
