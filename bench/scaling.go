package main

import (
	"fmt"
	"math"
	"strings"
)

// constants are the measured costs that a plan is made of.
type constants struct {
	resident float64 // bytes of a parked client in the gateway
	kernel   float64 // bytes of its socket in the kernel
	own      float64 // microseconds of a gateway's processor for a trip whose callback is at home
	across   float64 // the same of both gateways, when it is at another node
	redis    float64 // microseconds of redis-server for that
}

// constantsOf takes them from the scenes; false when one is missing.
func constantsOf(played []namedScene) (c constants, ok bool) {
	nan := math.NaN()
	c = constants{nan, nan, nan, nan, nan}
	for _, s := range played {
		switch s := s.scene.(type) {
		case *trips:
			f := &s.figures[parkedLoad]
			c.own, c.across, c.redis = f.own.median("redis"), f.own.median("remote"), f.redis.median("remote")
		case *memory:
			most := s.most["redis"]
			c.resident, c.kernel = s.resident[most].median("redis"), s.kernel[most].median("redis")
		}
	}
	sum := c.resident + c.kernel + c.own + c.across + c.redis
	return c, !math.IsNaN(sum)
}

// What the plan assumes of clients and machines; the document says so.
const (
	wait         = 30.0    // seconds that a client waits
	busy         = 0.5     // of a processor, so that a node that fails leaves room
	cores        = 8       // of a gateway's machine
	perNode      = 250_000 // clients of a gateway, so that the loss of one is bearable
	frontPorts   = 28_232  // of one source address to one destination, with the kernel's default range
	perBalancer  = 500_000 // connections of one balancer from clients, and as many to gateways
	balancerEach = 2 * 16  // KiB of a balancer's buffers for a connection on both sides, as haproxy has them by default
)

// need is what so many parked clients take.
type need struct {
	parked             float64
	trips              float64 // a second
	gateways           float64
	perGateway         float64 // clients
	memory             float64 // of a gateway, GiB
	gatewayCores       float64 // in use, of all gateways
	redisCores         float64 // in use
	shards             float64 // Redis servers
	balancers          float64
	balancerMemory     float64 // of a balancer, GiB
	addressesPerTarget float64 // source addresses that a balancer needs for one gateway
}

// needs computes the plan. All but one of the nodes see a callback at another one when they are chosen by chance.
func (c constants) needs(parked float64) need {
	n := need{parked: parked, trips: parked / wait}
	byClients := math.Ceil(parked / perNode)
	elsewhere := func(gateways float64) float64 { return (gateways - 1) / gateways }
	for n.gateways = max(byClients, 2); ; n.gateways++ {
		away := elsewhere(n.gateways)
		n.gatewayCores = n.trips * (c.own*(1-away) + c.across*away) / 1e6
		n.redisCores = n.trips * c.redis * away / 1e6
		if n.gatewayCores <= n.gateways*cores*busy {
			break
		}
	}
	const gib = 1 << 30
	n.perGateway = parked / n.gateways
	n.memory = n.perGateway * (c.resident + c.kernel) / gib
	n.shards = max(1, math.Ceil(n.redisCores/busy))
	n.balancers = max(2, math.Ceil(parked/perBalancer)+1)
	n.balancerMemory = parked / (n.balancers - 1) * (balancerEach<<10 + 2*c.kernel) / gib
	n.addressesPerTarget = math.Ceil(n.perGateway / (n.balancers - 1) / frontPorts)
	return n
}

// plan words the constants and the arithmetic for three sizes.
func (c constants) plan() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| constant | measured here |\n|---|--:|\n")
	for _, row := range []struct {
		what  string
		value float64
		unit  string
	}{
		{"resident memory of a parked client in the gateway", c.resident, " bytes"},
		{"its socket in the kernel", c.kernel, " bytes"},
		{"gateway's CPU of a trip, callback at home", c.own, " us"},
		{"both gateways' CPU, callback at another node", c.across, " us"},
		{"redis-server's CPU, callback at another node", c.redis, " us"},
	} {
		fmt.Fprintf(&b, "| %s | %s%s |\n", row.what, figure(row.value, 0), row.unit)
	}
	sizes := []need{c.needs(1e4), c.needs(1e6), c.needs(1e8)}
	b.WriteString("\n| | 10 thousand | 1 million | 100 million |\n|---|--:|--:|--:|\n")
	for _, row := range []struct {
		what   string
		digits int
		of     func(need) float64
	}{
		{"trips a second, each waits 30 s", 0, func(n need) float64 { return n.trips }},
		{"**gateways**", 0, func(n need) float64 { return n.gateways }},
		{"clients of each", 0, func(n need) float64 { return n.perGateway }},
		{"their memory in gateway and kernel, GiB each", 2, func(n need) float64 { return n.memory }},
		{"processors in use, all gateways", 2, func(n need) float64 { return n.gatewayCores }},
		{"**Redis servers**", 0, func(n need) float64 { return n.shards }},
		{"their processors in use, together", 2, func(n need) float64 { return n.redisCores }},
		{"**balancers**, one of them spare", 0, func(n need) float64 { return n.balancers }},
		{"their buffers and sockets at worst, GiB each", 1, func(n need) float64 { return n.balancerMemory }},
		{"source addresses that a balancer needs for each gateway", 0, func(n need) float64 { return n.addressesPerTarget }},
	} {
		fmt.Fprintf(&b, "| %s |", row.what)
		for _, n := range sizes {
			fmt.Fprintf(&b, " %s |", figure(row.of(n), row.digits))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
