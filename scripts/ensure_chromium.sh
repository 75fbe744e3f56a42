#!/bin/sh
# The browser tests need Chromium or Chrome on the PATH; root on Debian gets it installed.
set -eu

for browser in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$browser" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests (about a minute)."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    exit 0
fi
echo "error: the browser tests need Chromium. Install the package chromium (Debian, Fedora, Arch)" \
    "or Google Chrome, then run make test again." >&2
exit 2
