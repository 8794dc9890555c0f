package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

const slots = 16384

// newMasters is a Cluster of three masters that have a third of the slots each.
func newMasters(ctx context.Context, dir string) (*store, error) {
	s := new(store)
	for range 3 {
		m, err := newServer(ctx, dir, durable("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")...)
		if err != nil {
			return s, err
		}
		s.servers = append(s.servers, m)
	}
	for i, m := range s.servers {
		if err := m.want("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1)); err != nil {
			return s, err
		}
		host, port, _ := net.SplitHostPort(s.servers[0].addr)
		if err := m.want("CLUSTER", "MEET", host, port); err != nil {
			return s, err
		}
	}
	s.url = fmt.Sprintf("redis://%s?addr=%s&addr=%s", s.servers[0].addr, s.servers[1].addr, s.servers[2].addr)
	return s, until(ctx, "the cluster is up", func() bool {
		for _, m := range s.servers {
			info, err := m.do("CLUSTER", "INFO")
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
}

// migrate moves the slots that the gateways' keys are in, each to the next master, as a rebalancing does.
func (s *store) migrate(ctx context.Context) error {
	owner := make(map[string]int) // by slot
	for i, m := range s.servers {
		keys, err := m.do("KEYS", "*:alive")
		if err != nil {
			return err
		}
		for key := range strings.FieldsSeq(keys) {
			slot, err := m.do("CLUSTER", "KEYSLOT", key)
			if err != nil {
				return err
			}
			owner[slot] = i
		}
	}
	if len(owner) == 0 {
		return errors.New("migrate: no gateway has a key")
	}
	for slot, i := range owner {
		if err := s.move(ctx, slot, s.servers[i], s.servers[(i+1)%len(s.servers)]); err != nil {
			return err
		}
	}
	return nil
}

// move moves one slot to another server, with its keys, and makes the move known to every server.
func (s *store) move(ctx context.Context, slot string, from, to *server) error {
	source, err := from.do("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	target, err := to.do("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	if err := to.want("CLUSTER", "SETSLOT", slot, "IMPORTING", source); err != nil {
		return err
	}
	if err := from.want("CLUSTER", "SETSLOT", slot, "MIGRATING", target); err != nil {
		return err
	}
	if err := from.handOver(ctx, slot, to); err != nil {
		return err
	}
	for _, each := range []*server{to, from, s.servers[0], s.servers[1], s.servers[2]} {
		if err := each.want("CLUSTER", "SETSLOT", slot, "NODE", target); err != nil {
			return err
		}
	}
	return nil
}

// handOver sends the keys of a slot until there are none left.
func (s *server) handOver(ctx context.Context, slot string, to *server) error {
	host, port, _ := net.SplitHostPort(to.addr)
	for ctx.Err() == nil {
		keys, err := s.do("CLUSTER", "GETKEYSINSLOT", slot, "100")
		if err != nil || keys == "" {
			return err
		}
		args := append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, strings.Fields(keys)...)
		if reply, err := s.do(args...); err != nil || reply != "OK" && reply != "NOKEY" {
			return fmt.Errorf("redis: migrate: %s %w", reply, err)
		}
	}
	return ctx.Err()
}
