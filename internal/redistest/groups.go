package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// Failover is a master, its replica, and three sentinels that make the replica the master when two of them miss the other.
type Failover struct {
	Master, Replica *Server
	Sentinels       []*Server

	name string
}

// StartFailover runs a Failover, whose master has a name, until the end of the test.
func StartFailover(t testing.TB, name string) *Failover {
	t.Helper()
	f := &Failover{name: name, Master: StartTCP(t, "--repl-diskless-sync-delay", "0")}
	host, port, _ := net.SplitHostPort(f.Master.addr)
	f.Replica = StartTCP(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	f.Replica.until("the replica is in step", func() bool {
		return strings.Contains(f.Replica.Do("INFO", "replication"), "master_link_status:up")
	})
	for range 3 {
		f.Sentinels = append(f.Sentinels, startSentinel(t, name, f.Master, 2))
	}
	for _, s := range f.Sentinels {
		s.until("the sentinels know each other", func() bool {
			return strings.Contains(s.Do("INFO", "sentinel"), "status=ok") &&
				strings.Contains(s.Do("INFO", "sentinel"), "slaves=1,sentinels=3")
		})
	}
	return f
}

// URL is where clients find the sentinels.
func (f *Failover) URL() string {
	addrs := make([]string, len(f.Sentinels))
	for i, s := range f.Sentinels {
		addrs[i] = s.addr
	}
	return fmt.Sprintf("redis://%s?master_name=%s&addr=%s", addrs[0], f.name, strings.Join(addrs[1:], "&addr="))
}

// AwaitPromotion waits until the replica is the master.
func (f *Failover) AwaitPromotion() {
	f.Replica.t.Helper()
	f.Replica.until("the replica is the master", func() bool {
		info, err := f.Replica.exchange("INFO", "replication") // a server that changes its role closes its connections
		return err == nil && strings.Contains(info, "role:master")
	})
}

// Masters are the servers of a Cluster.
type Masters []*Server

const slots = 16384

// StartMasters runs a Cluster of n masters, which share the slots, until the end of the test.
func StartMasters(t testing.TB, n int) Masters {
	t.Helper()
	var m Masters
	for i := range n {
		s := StartTCP(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")
		first, last := i*slots/n, (i+1)*slots/n-1
		s.expectOK("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		s.expectOK("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		m = append(m, s)
	}
	host, port, _ := net.SplitHostPort(m[0].addr)
	for _, s := range m[1:] {
		s.expectOK("CLUSTER", "MEET", host, port)
	}
	for _, s := range m {
		s.until("the cluster is up", func() bool {
			info := s.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(n)) &&
				strings.Contains(info, "cluster_slots_assigned:"+strconv.Itoa(slots))
		})
	}
	return m
}

// URL is where clients find the Cluster.
func (m Masters) URL() string {
	addrs := make([]string, len(m))
	for i, s := range m {
		addrs[i] = s.addr
	}
	return "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr=")
}

// Slot is where a key is.
func (m Masters) Slot(key string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(m[0].Do("CLUSTER", "KEYSLOT", key), ":"))
	return n
}

// Owner gives the index of the server that has a slot.
func (m Masters) Owner(slot int) int {
	m[0].t.Helper()
	for i, s := range m {
		for line := range strings.Lines(s.Do("CLUSTER", "NODES")) {
			if words := strings.Fields(line); len(words) > 8 && strings.Contains(words[2], "myself") && has(words[8:], slot) {
				return i
			}
		}
	}
	m[0].t.Fatalf("redistest: slot %d has no owner", slot)
	return 0
}

// has reports whether ranges of slots, as CLUSTER NODES gives them, have one of them.
func has(ranges []string, slot int) bool {
	for _, r := range ranges {
		first, last, is := strings.Cut(r, "-")
		if !is {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 == nil && err2 == nil && from <= slot && slot <= to {
			return true
		}
	}
	return false
}

// Move migrates a slot with its keys to the server of that index, as redis-cli does while the Cluster is in use.
func (m Masters) Move(slot, to int) {
	from, target, number := m[m.Owner(slot)], m[to], strconv.Itoa(slot)
	source, destination := from.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")
	host, port, _ := net.SplitHostPort(target.addr)
	target.expectOK("CLUSTER", "SETSLOT", number, "IMPORTING", source)
	from.expectOK("CLUSTER", "SETSLOT", number, "MIGRATING", destination)
	for {
		keys := from.Do("CLUSTER", "GETKEYSINSLOT", number, "100")
		if keys == "" {
			break
		}
		args := append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, strings.Split(keys, "\n")...)
		if reply := from.Do(args...); reply != "+OK" && reply != "+NOKEY" {
			from.t.Fatalf("redistest: migrate: %s", reply)
		}
	}
	for _, s := range append(Masters{target, from}, m...) {
		s.expectOK("CLUSTER", "SETSLOT", number, "NODE", destination)
	}
}

// expectOK has a command succeed, or fails the test.
func (s *Server) expectOK(args ...string) {
	s.t.Helper()
	if got := s.Do(args...); got != "+OK" {
		s.t.Fatalf("redistest: %s: %s", strings.Join(args, " "), got)
	}
}
