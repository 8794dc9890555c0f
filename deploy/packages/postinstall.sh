#!/bin/sh
# Runs after an installation (deb: configure; rpm: 1) and after an upgrade (deb: configure and the old version; rpm: 2).
#
# It starts nothing, as the configuration of a new installation is an example. It restarts nothing either: the nodes of a cluster
# may be upgraded in the same minute, and only their operator knows when each of them may drain.
set -e

# DPKG_ROOT names a directory that is installed into from outside: the systemd that runs is another one's.
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi

if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "${2:-}" ]; }; then
	cat <<'END'
syncgate is installed and not started. As root:

  put the secrets into /etc/syncgate/secret and /etc/syncgate/callback-keys (mode 0400)
  edit /etc/syncgate/syncgate.yaml
  CREDENTIALS_DIRECTORY=/etc/syncgate syncgate check --quiet --config /etc/syncgate/syncgate.yaml
  systemctl enable --now syncgate
END
else
	echo "syncgate is upgraded. A running service is still the old version: systemctl restart syncgate, one node at a time."
fi
