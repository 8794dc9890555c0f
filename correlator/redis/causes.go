package redis

import (
	"errors"
	"fmt"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

// sentence is an error text of servers, as far as it quotes nothing, and what it means for us.
type sentence struct {
	begins string
	says   string // what is repeated, in the server's own words
	part   string // empty: that of the step that failed
	do     string // empty: that of the step
}

// Parts of a Redis that can be missing. They are shown to anybody who asks for /readyz.
const (
	partConnect   = "redis: connection"
	partLogin     = "redis: login"
	partMode      = "redis: mode"
	partData      = "redis: data set"
	partMaster    = "redis: master"
	partMemory    = "redis: memory"
	partSubscribe = "redis: subscription"
	partWrite     = "redis: write"
	partPublish   = "redis: publish"
	partTrial     = "redis: scripts and commands"
	partHear      = "redis: hearing its own messages"
	partStart     = "redis: no answer yet"
)

const (
	doLogin   = "check username and password under correlator.redis, or those in correlator.redis.url"
	doNoLogin = "take the password out of correlator.redis"
	doMode    = "set correlator.redis.mode to what the server is"
	doMaster  = "name the master in correlator.redis.url, or use correlator.redis.mode sentinel or cluster, which find it"
	doWait    = "nothing if it ends by itself; else see the server's log"
	doGrant   = "give the user what docs/operations.md lists under Redis"
	doAddress = "check that the server runs, and the address in correlator.redis.url"
	doTLS     = "check the scheme in correlator.redis.url: rediss:// with TLS, redis:// without"
)

// sentences are the texts of Redis 5 to 8, Valkey and Sentinel that we may hear when something is set up wrong.
func sentences() []sentence {
	return []sentence{
		{"WRONGPASS", "WRONGPASS invalid username-password pair or user is disabled", partLogin, doLogin},
		{"NOAUTH", "NOAUTH Authentication required", partLogin, doLogin},
		{"ERR invalid password", "ERR invalid password", partLogin, doLogin},
		{
			"ERR AUTH <password> called without any password configured", "ERR AUTH called without any password configured for the default user", partLogin,
			doNoLogin + ", or set one at the server",
		},
		{"ERR Client sent AUTH, but no password is set", "ERR Client sent AUTH, but no password is set", partLogin, doNoLogin},
		{"NOPERM", "NOPERM this user has no permissions", "", doGrant},
		{"ERR The user executing the script can't", "ERR The user executing the script can't run this command", partTrial, doGrant},
		{"ERR This instance has cluster support disabled", "ERR This instance has cluster support disabled", partMode, doMode},
		{"ERR DB index is out of range", "ERR DB index is out of range", partData, "correct the number of the database at the end of correlator.redis.url"},
		{"ERR SELECT is not allowed in cluster mode", "ERR SELECT is not allowed in cluster mode", partMode, doMode},
		{"ERR max number of clients reached", "ERR max number of clients reached", partConnect, "raise maxclients at the server"},
		{
			"ERR unknown command", "ERR unknown command", partMode,
			"set correlator.redis.mode to what the server is (a Sentinel knows no data); a server must be Redis 5 or newer, in a Cluster Redis 7",
		},
		{"MOVED", "MOVED", partMode, "the server is part of a Cluster: set correlator.redis.mode to cluster"},
		{"CLUSTERDOWN", "CLUSTERDOWN", partMode, "see CLUSTER INFO at the server: slots are without a master"},
		{"LOADING", "LOADING Redis is loading the dataset in memory", partData, doWait},
		{"BUSY", "BUSY Redis is busy running a script", partData, doWait},
		{"MASTERDOWN", "MASTERDOWN", partMaster, doMaster},
		{"READONLY", "READONLY You can't write against a read only replica", partMaster, doMaster},
		{"NOREPLICAS", "NOREPLICAS Not enough good replicas to write", partMaster, "see min-replicas-to-write at the server"},
		{"MISCONF", "MISCONF the server cannot save its data and takes no writes", partMemory, "see the server's log: its disk is full, or it may not write there"},
		{"OOM", "OOM command not allowed when used memory > 'maxmemory'", partMemory, "raise maxmemory at the server, or lower results.retention"},
		{"DENIED", "DENIED Redis is running in protected mode", partLogin, "set a password at the server, or bind it to an address of this network"},
	}
}

// step is what was tried.
type step string

const (
	stepSubscribe step = "subscribe"
	stepListen    step = "listen"
	stepWrite     step = "write"
	stepPublish   step = "publish"
	stepTrial     step = "try what a trip needs"
	stepProbe     step = "probe"
)

// unready says why Redis cannot be used, by what was tried.
func unready(at step, err error) error {
	if errors.Is(err, goredis.Nil) { // of the question where the master is: nothing else is read on the way to a connection
		err = errNoMaster
	}
	err = worded(err)
	part, do := causeOf(at, err)
	if !errors.Is(err, correlator.ErrUnavailable) {
		err = fmt.Errorf("correlator/redis: %s: %w: %w", at, correlator.ErrUnavailable, err)
	}
	return &correlator.Unready{Part: part, Err: err, Do: do}
}

// causeOf names the part that is missing, and what to do, by a worded error.
func causeOf(at step, err error) (part, do string) {
	part, do = causeOfStep(at)
	if r, is := errors.AsType[*refused](err); is {
		if r.part != "" {
			part = r.part
		}
		return part, r.do
	}
	for _, own := range []struct {
		is       error
		part, do string
	}{
		{errServer, part, "see the server's log, and docs/operations.md under Redis"},
		{errStarting, partStart, doAddress},
		{errUnproven, partHear, do},
		{errMissed, partHear, do},
		{errClosed, partConnect, ""},
		{errUnsubscribed, partSubscribe, doWait},
		{errNoMaster, partMaster, "check master_name in correlator.redis.url, and what the sentinels monitor"},
		{errHandshake, partConnect, doTLS},
		{errTLS, partConnect, doTLS},
		{errCertificate, partConnect, "use the name that is in the server's certificate, and trust who has signed it (SSL_CERT_FILE); skip_verify=true in the URL trusts anybody"},
		{errTimedOut, partConnect, "check the way to the server (firewall, address), and how busy it is; correlator.redis.timeout bounds each command"},
		{errUnresolved, partConnect, doAddress},
		{syscall.ECONNREFUSED, partConnect, doAddress},
	} {
		if errors.Is(err, own.is) {
			return own.part, own.do
		}
	}
	return partConnect, doAddress + ", and that a Redis listens there; " + doTLS // closed, or not understood
}

func causeOfStep(at step) (part, do string) {
	switch at {
	case stepSubscribe, stepListen:
		return partSubscribe, doGrant
	case stepWrite:
		return partWrite, doGrant
	case stepPublish:
		return partPublish, doGrant
	case stepTrial:
		return partTrial, doGrant
	case stepProbe:
		return partHear, "see that nothing between this node and Redis holds messages back; a subscription that hears nothing is replaced"
	}
	return partConnect, doAddress
}

// refused is an error reply of a server, without what it may quote.
type refused struct{ sentence }

func (r *refused) Error() string { return errServer.Error() + ": " + r.says }

// Unwrap gives errServer.
func (r *refused) Unwrap() error { return errServer }
