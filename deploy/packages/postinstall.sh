#!/bin/sh
# Runs after an installation (deb: configure; rpm: 1) and after an upgrade (deb: configure and the old version; rpm: 2).
# dpkg runs it too when an upgrade or a removal has failed (abort-upgrade, abort-remove, abort-deconfigure).
#
# It starts nothing, as the configuration of a new installation is an example. It restarts nothing either: the nodes of a cluster
# may be upgraded in the same minute, and only their operator knows when each of them may drain.
set -e

# DPKG_ROOT names a directory that is installed into from outside: the systemd that runs is another one's.
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi

case "$1:${2:-}" in
1:* | configure:)
	cat <<'END'
syncgate is installed and not started. As root:

  put the secrets into /etc/syncgate/secret and /etc/syncgate/callback-keys (mode 0400)
  edit /etc/syncgate/syncgate.yaml
  CREDENTIALS_DIRECTORY=/etc/syncgate syncgate check --quiet --config /etc/syncgate/syncgate.yaml
  systemctl enable --now syncgate
END
	;;
abort-*) ;; # dpkg has put the old version back
*)
	echo "syncgate is upgraded. A running service is still the old version: systemctl restart syncgate, one node at a time."
	;;
esac
