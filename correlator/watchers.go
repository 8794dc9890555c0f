package correlator

import "iter"

// watchers are the receivers that wait for a record, by the ids under which they wait: the Follower of each, nil for those who hear finals alone. Nearly
// every record has one at most, for which there is no map.
type watchers struct {
	one struct {
		own      ID
		follower *Follower
		there    bool
	}
	more map[ID]*Follower
}

func (w *watchers) add(own ID, f *Follower) {
	if !w.one.there && len(w.more) == 0 || w.one.there && w.one.own == own {
		w.one.own, w.one.follower, w.one.there = own, f, true
		return
	}
	if w.more == nil {
		w.more = make(map[ID]*Follower)
	}
	w.more[own] = f
}

func (w *watchers) remove(own ID) {
	if w.one.there && w.one.own == own {
		w.one.follower, w.one.there = nil, false
		return
	}
	delete(w.more, own)
}

// all gives each once, in no order.
func (w *watchers) all() iter.Seq2[ID, *Follower] {
	return func(yield func(ID, *Follower) bool) {
		if w.one.there && !yield(w.one.own, w.one.follower) {
			return
		}
		for own, f := range w.more {
			if !yield(own, f) {
				return
			}
		}
	}
}
