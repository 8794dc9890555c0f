package correlator

import "fmt"

const (
	// reportsCost, eventCost and memberCost are the bytes that what was reported of a trip, each event, and each member of a merged object take
	// beside their contents.
	reportsCost = 160
	eventCost   = 96
	memberCost  = 112
)

// reports is what the engine has said of the ops of a trip while it worked on them.
type reports struct {
	seq    uint32 // of the last event
	events []Callback
	bytes  int      // of the bodies of events
	size   int64    // of all of it
	merged []merged // by op
}

// merged is a JSON object, by the names of its members.
type merged struct {
	members map[string][]byte // the Text of each
	length  int64             // of the object
	last    Status            // of the op's last event
}

// report keeps an event in the record of its trip, if there is one, and tells those who follow it. It gives the number of the event; 0: there is no record.
// A *Superseded, ErrTooLarge, or ErrFull.
func (s *records) report(id ID, cb Callback) (seq uint32, err error) {
	var members []Member
	s.mu.Lock()
	if s.byID[id] != nil {
		s.mu.Unlock()
		if members, err = Members(cb.Body); err != nil { // it may take a while: without the mutex
			return 0, fmt.Errorf("correlator: report: %w", err)
		}
		s.mu.Lock()
	}
	r := s.byID[id]
	if r == nil || cb.Op < 0 || cb.Op >= len(r.Finals) {
		s.mu.Unlock()
		return 0, nil
	}
	n, err := s.append(r, cb, members)
	if err == nil {
		seq = r.reports.seq
	}
	s.mu.Unlock()
	s.tell(r, n.followers)
	return seq, err
}

// append keeps an event, and says who is to hear it. The caller holds the mutex.
func (s *records) append(r *record, cb Callback, members []Member) (n notice, err error) {
	if before := r.Finals[cb.Op].Status; before.Final() {
		return n, superseded(before)
	}
	p := r.reports
	if p == nil {
		p = &reports{size: reportsCost}
	}
	for len(p.merged) <= cb.Op {
		p.merged = append(p.merged, merged{length: 1})
	}
	op := &p.merged[cb.Op]
	length, count := op.grown(members)
	if limit := s.progress.Load(); len(members) > 0 && (limit > 0 && length > limit || count > MergedMembers) {
		return n, fmt.Errorf("correlator: report: %w", ErrTooLarge)
	}
	// What is in flight is not evicted, and nothing is evicted for what does not fit anyway.
	most := r.cost() + int64(eventCost+cap(cb.Body)) + length - op.length + int64(len(members)*memberCost)
	if !r.listed {
		most += s.pinned - r.bytes
	}
	if s.limit > 0 && most > s.limit {
		return n, fmt.Errorf("correlator: report: %w", ErrFull)
	}
	r.reports = p
	p.size += op.merge(members, length)
	op.last = cb.Status
	p.add(cb)
	s.count(r, r.cost())
	for _, f := range r.watchers.all() {
		if f != nil {
			n.followers = append(n.followers, f)
		}
	}
	s.evict()
	return n, nil
}

// grown gives how long the object would be, and of how many members, with these.
func (m *merged) grown(members []Member) (length int64, count int) {
	length, count = m.length, len(m.members)
	for _, member := range members {
		before, again := m.members[member.Name]
		length += int64(len(member.Text) - len(before))
		if !again {
			length++ // what is between two members
			count++
		}
	}
	return length, count
}

// merge takes members in, with which the object has that length, and gives by how much its cost grows.
func (m *merged) merge(members []Member, length int64) (cost int64) {
	if m.members == nil && len(members) > 0 {
		m.members = make(map[string][]byte, len(members))
	}
	for _, member := range members {
		before, again := m.members[member.Name]
		cost += int64(cap(member.Text) - cap(before))
		if !again {
			cost += int64(memberCost + len(member.Name))
		}
		m.members[member.Name] = member.Text
	}
	m.length = length
	return cost
}

// add appends an event, and drops the oldest ones that are too many.
func (p *reports) add(cb Callback) {
	p.seq++
	cb.Seq = p.seq
	cb.Head = nil
	p.events = append(p.events, cb)
	p.bytes += len(cb.Body)
	p.size += int64(eventCost + cap(cb.Body))
	for len(p.events) > KeptEvents || p.bytes > KeptEventBytes && len(p.events) > 1 {
		oldest := &p.events[0]
		p.bytes -= len(oldest.Body)
		p.size -= int64(eventCost + cap(oldest.Body))
		*oldest = Callback{} // the array has it still
		p.events = p.events[1:]
	}
}

func (p *reports) last() uint32 {
	if p == nil {
		return 0
	}
	return p.seq
}

func (p *reports) cost() int64 {
	if p == nil {
		return 0
	}
	return p.size
}

// statuses gives the status of the last event of each op.
func (p *reports) statuses(ops int) []Status {
	if p == nil {
		return nil
	}
	all := make([]Status, ops)
	for op := range min(ops, len(p.merged)) {
		all[op] = p.merged[op].last
	}
	return all
}

// members gives the members of what is merged of each op.
func (p *reports) members(ops int) [][]Member {
	if p == nil {
		return nil
	}
	all := make([][]Member, min(ops, len(p.merged)))
	for op := range all {
		for name, text := range p.merged[op].members {
			all[op] = append(all[op], Member{name, text})
		}
	}
	return all
}

// after gives the events that are kept after a number.
func (p *reports) after(seq uint32) []Callback {
	if p == nil || seq >= p.seq {
		return nil
	}
	first := p.seq - uint32(len(p.events)) //nolint:gosec // at most KeptEvents; the number before the first one's
	return append([]Callback(nil), p.events[max(seq, first)-first:]...)
}

// tell has followers hear what is new of a record. The caller does not hold the mutex.
func (s *records) tell(r *record, followers []*Follower) {
	for _, f := range followers {
		f.Follow(func(after uint32) (events, finals []Callback) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return r.reports.after(after), r.finals()
		})
	}
}
