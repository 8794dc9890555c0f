package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator/redis"
)

// examineAgain is between two attempts to look at the settings of a Redis that is away. That it is away is reported elsewhere.
const examineAgain = 10 * time.Second

// examining looks once at the settings of Redis, in the background. The zero value has not begun. It owns one goroutine.
type examining struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (e *examining) start(cfg redis.Config, log zerolog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.done.Go(func() {
		for {
			warnings, err := redis.Examine(ctx, cfg)
			if err == nil {
				for _, w := range warnings {
					log.Warn().Str("warning", w).Msg("correlator: a setting of Redis loses results")
				}
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(examineAgain):
			}
		}
	})
}

// stop ends it.
func (e *examining) stop() {
	if e.cancel != nil {
		e.cancel()
		e.done.Wait()
	}
}

// redisTable is a table that counts what it does with Redis.
type redisTable interface{ Stats() redis.Stats }

// redisCounts shows what a correlator counts to Prometheus.
type redisCounts struct {
	table                                                           redisTable
	commands, errors, forged, delivered, reconnects, inbox, waiting *prometheus.Desc
}

func newRedisCounts(table redisTable) *redisCounts {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &redisCounts{
		table: table,
		commands: desc("syncgate_redis_command_duration_seconds",
			"Round trips to Redis, with the wait for a connection and retries, by kind of work.", "command"),
		errors: desc("syncgate_redis_errors_total", "Round trips to Redis that failed, by kind.", "kind"),
		forged: desc("syncgate_redis_forged_total",
			"What was read from Redis and ignored, as it was not written by a node that has our callback keys.", "kind"),
		delivered:  desc("syncgate_callbacks_delivered_total", "Callbacks that came to this node, by where their client waited.", "where"),
		reconnects: desc("syncgate_redis_reconnects_total", "Subscriptions that have replaced another one."),
		inbox:      desc("syncgate_redis_inbox_callbacks", "Callbacks that the last reading of this node's inbox has found, once a second."),
		waiting:    desc("syncgate_redis_waiting_callbacks", "Callbacks that wait to be stored in Redis."),
	}
}

// Describe is part of prometheus.Collector.
func (c *redisCounts) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.commands, c.errors, c.forged, c.delivered, c.reconnects, c.inbox, c.waiting} {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (c *redisCounts) Collect(to chan<- prometheus.Metric) {
	s := c.table.Stats()
	for work, d := range s.Commands {
		buckets := make(map[float64]uint64, len(d.Buckets))
		for i, bound := range redis.Buckets() {
			buckets[bound] = d.Buckets[i]
		}
		to <- prometheus.MustNewConstHistogram(c.commands, d.Count, d.Sum.Seconds(), buckets, work)
	}
	for desc, counts := range map[*prometheus.Desc]map[string]uint64{c.errors: s.Errors, c.forged: s.Forged, c.delivered: s.Delivered} {
		for label, n := range counts {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), label)
		}
	}
	to <- prometheus.MustNewConstMetric(c.reconnects, prometheus.CounterValue, float64(s.Reconnects))
	to <- prometheus.MustNewConstMetric(c.inbox, prometheus.GaugeValue, float64(s.Inbox))
	to <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(s.Waiting))
}
