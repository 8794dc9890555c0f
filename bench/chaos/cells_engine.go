package main

import (
	"context"
	"fmt"
	"time"

	"syncgate/internal/enginesim"
)

// with has every task say how the engine is to treat it; callbacks go anywhere.
func with(sim string) func(w *world) string {
	return func(w *world) string { return fmt.Sprintf(`"to":%q,%s`, w.anywhere(), sim) }
}

// ack is a cell about one way in which the engine answers a create.
func ack(fault, what string, how enginesim.Ack, bites func(*result) error) cell {
	return cell{
		component: "engine", fault: fault, what: what,
		load: traffic{sim: with(fmt.Sprintf(`"ack":%q,"delay_ms":[50,400]`, how))}, strike: wait(time.Second), bites: bites,
	}
}

func engineCells() []cell {
	decides := "The task may exist, so the client stays: the callback decides."
	return []cell{
		{
			component: "engine", fault: "refuses connections", short: true,
			what: "For two seconds. Nothing is sent, so clients get 502 at once, and their keys are free. What was on its way when it began may have arrived: there the callback decides, or the time-out.",
			strike: func(ctx context.Context, w *world) error {
				w.outbound.Down()
				pause(ctx, 2*time.Second)
				return w.outbound.Up()
			}, bites: both(some(refused), all(answered, recovered, refused, timedOut)),
		},
		{
			component: "engine", fault: "connections are reset",
			what: "Every 50 ms for two seconds, wherever the exchange is. " + decides,
			strike: func(ctx context.Context, w *world) error {
				for range 40 {
					w.outbound.Cut()
					pause(ctx, 50*time.Millisecond)
				}
				return nil
			},
		},
		{
			component: "engine", fault: "the way to it stalls",
			what: "Nothing passes for three seconds, which is longer than engine.timeout; what was sent arrives afterwards. " + decides,
			strike: func(ctx context.Context, w *world) error {
				w.outbound.Stall()
				pause(ctx, 3*time.Second)
				w.outbound.Flow()
				return nil
			}, bites: some(answered),
		},
		ack("hangs", "Creates are taken and never answered. "+decides, enginesim.AckHang, all(answered)),
		ack("resets after reading", "The connection ends where the answer should come. "+decides, enginesim.AckReset, all(answered)),
		ack("truncates its answer", "Half of the answer, then the end. "+decides, enginesim.AckTruncated, all(answered)),
		ack("answers slowly", "In pieces, after the callback. The callback counts.", enginesim.AckSlow, all(answered)),
		ack("answers 500", "Clients get 502 with Location, as the task may exist, and find the result there.", enginesim.AckHTTP500, all(answered, recovered)),
		ack("answers a proxy's page", "HTML with status 502: the client gets 502 with a Location, and finds its result there.", enginesim.AckHTML502, all(answered, recovered)),
		ack("answers a login page", "HTML with status 200: the client gets 502 with a Location, and finds its result there.", enginesim.AckHTML200, all(answered, recovered)),
	}
}

func callbackCells() []cell {
	return []cell{
		{
			component: "callback", fault: "before the engine's own answer", short: true,
			what: "Every callback overtakes it.",
			load: traffic{sim: with(`"callback":"before","delay_ms":[0,200]`)}, strike: wait(time.Second), bites: all(answered),
		},
		{
			component: "callback", fault: "duplicates race at both nodes",
			what:  "Each comes four times at once, through haproxy, which spreads them.",
			setup: setup{balanced: true},
			load:  traffic{sim: func(*world) string { return `"duplicates":3,"gap_ms":0,"delay_ms":[20,200]` }}, strike: wait(2 * time.Second), bites: all(answered),
		},
		{
			component: "callback", fault: "always at the other node",
			what: "Clients wait at the first, callbacks come to the second.",
			load: traffic{home: 1, sim: to(2, 20, 200)}, strike: wait(time.Second), bites: all(answered),
		},
		{
			component: "callback", fault: "late",
			what: "Clients wait half a second, results take one to two. The time-out says where to look, and looking finds it.",
			load: traffic{timeout: 500 * time.Millisecond, sim: with(`"delay_ms":[1000,2000]`)}, strike: wait(time.Second), bites: both(some(recovered), all(recovered)),
		},
		{
			component: "callback", fault: "never",
			what: "Clients hear of the time-out, in time.",
			load: traffic{timeout: time.Second, sim: with(`"callback":"never"`), play: once}, strike: wait(time.Second), bites: all(timedOut),
		},
		{
			component: "callback", fault: "its connections are reset",
			what: "Every 50 ms for two seconds, wherever the exchange is; the engine repeats.",
			load: traffic{sim: func(w *world) string {
				return fmt.Sprintf(`"to":%q`, w.inbound[len(w.inbound)-1].Addr())
			}},
			strike: func(ctx context.Context, w *world) error {
				for range 40 {
					w.inbound[len(w.inbound)-1].Cut()
					pause(ctx, 50*time.Millisecond)
				}
				return nil
			}, bites: all(answered),
		},
	}
}

// once is a client that takes what it gets.
func once(ctx context.Context, w *world, t *trip, prefer int) { t.create(ctx, w.door(prefer)) }
