#!/bin/sh
# Runs before a removal (deb: remove; rpm: 0) and before an upgrade (deb: upgrade; rpm: 1), which leaves the service alone.
set -e

if [ "$1" = remove ] || [ "$1" = 0 ]; then
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now syncgate.service || true # it answers the clients that wait, and then ends
	fi
fi
