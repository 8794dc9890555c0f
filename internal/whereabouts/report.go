package whereabouts

import (
	"slices"
	"time"

	"syncgate/correlator"
)

// report words trips, in their order, as they are at a time.
func (l *List) report(all []*hit, now time.Time) []Trip {
	trips := make([]Trip, 0, len(all))
	late := l.lateOf(all)
	for _, h := range all {
		trip := h.report(late[h.ops[0].id])
		trip.Next = trip.WhatNext(now)
		trips = append(trips, trip)
	}
	return trips
}

// lateOf gives the finals that came when trips were over, by their ids, the oldest first.
func (l *List) lateOf(all []*hit) map[correlator.ID][]lateFinal {
	late := make(map[correlator.ID][]lateFinal)
	for _, h := range all {
		if e := &h.ops[0]; !e.parked && !e.queued && e.id != (correlator.ID{}) {
			late[e.id] = nil
		}
	}
	if l == nil || len(late) == 0 {
		return late
	}
	l.late.walk(func(f *lateFinal) bool {
		if before, wanted := late[f.id]; wanted {
			late[f.id] = append(before, *f)
		}
		return true
	})
	for id := range late {
		slices.Reverse(late[id])
	}
	return late
}

// report words a trip.
func (h *hit) report(late []lateFinal) Trip {
	e := &h.ops[0]
	r := Trip{
		RequestID: e.request.String(), Login: h.login, Route: h.route, Engine: h.engine,
		Outcome: cut(e.outcome[:]), Reason: cut(e.reason[:]), Status: int(e.status),
		Keyed: e.keyed, Joined: e.joined, HungUp: e.abandoned, Accepted: timeOf(e.accepted), State: e.state(),
		Callbacks: int(e.callbacks), EngineStatus: int(e.engineStatus), OpCount: int(e.ops),
		Deadline: e.at(e.deadline), Forwarded: e.at(e.forwarded), EngineAnswered: e.at(e.answered()),
		FirstCallback: e.at(e.firstCallback), LastCallback: e.at(e.lastCallback), Replied: e.at(e.replied),
		Reports: int(e.reports), FirstReport: e.at(e.firstReport), LastReport: e.at(e.lastReport),
		Ops: make([]Op, 0, len(h.ops)),
	}
	if e.keptUntil != 0 {
		until := time.UnixMilli(e.keptUntil).UTC()
		r.KeptUntil = &until
	}
	if e.id != (correlator.ID{}) {
		r.Trip = e.id.String()
	}
	for i := range h.ops {
		if e.ops > 0 {
			r.Ops = append(r.Ops, h.ops[i].report())
		}
	}
	for i := range late {
		r.takeLate(&late[i])
	}
	return r
}

// takeLate takes a final that came when the trip was over.
func (t *Trip) takeLate(f *lateFinal) {
	if f.kind != lateCancel {
		t.Late = append(t.Late, f.report())
	}
	for i := range t.Ops {
		if op := &t.Ops[i]; op.Op == int(f.op) && op.State == opOpen && (f.kept || f.kind == lateCancel) {
			op.State = opFinal
		}
	}
}

// state names how far the trip is.
func (e *entry) state() string {
	switch {
	case e.queued:
		return StateQueued
	case e.parked:
		return StateWaiting
	}
	return StateOver
}

// States of an Op.
const (
	opOpen       = "open"
	opFinal      = "final"
	opNotAllowed = "not_allowed"
)

func (e *entry) report() Op {
	r := Op{Op: int(e.op), Process: cut(e.process[:]), Ref: e.ref.String(), EngineTask: string(e.task.bytes()), State: opOpen, Callback: e.at(e.callback)}
	switch {
	case e.refused:
		r.State = opNotAllowed
	case e.final:
		r.State = opFinal
	}
	return r
}

// at gives a time, nil for one that has not come.
func (e *entry) at(milliseconds int32) *time.Time {
	if milliseconds < 0 {
		return nil
	}
	at := timeOf(e.accepted + int64(milliseconds)*int64(time.Millisecond))
	return &at
}
