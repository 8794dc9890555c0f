#!/bin/sh
# Runs after a removal (deb: remove, purge; rpm: 0) and after an upgrade (deb: upgrade; rpm: 1), where postinstall.sh reloads.
# It deletes nothing: what people put into /etc/syncgate, secrets above all, is theirs.
set -e

case "$1" in
remove | purge | 0)
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl daemon-reload || true
	fi
	;;
esac
