package correlator

// Waiter gives the trip that is parked here under id; nil: there is none.
func (t *Table) Waiter(id ID) Receiver {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.trips[id]; e != nil {
		return e.value
	}
	return nil
}
