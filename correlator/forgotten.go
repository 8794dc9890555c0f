package correlator

import "sync"

// forgottenIDs is how many trips are remembered that ended unfinished with nothing kept. With as many in memory
// they take 8 MB.
const forgottenIDs = 100_000

// forgotten remembers the last ids that were added to it. The zero value is ready.
type forgotten struct {
	mu   sync.Mutex
	ids  map[ID]struct{}
	ring []ID // in the order of adding, from next on
	next int
}

func (f *forgotten) add(id ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids = make(map[ID]struct{})
	}
	if _, known := f.ids[id]; known {
		return
	}
	f.ids[id] = struct{}{}
	if len(f.ring) < forgottenIDs {
		f.ring = append(f.ring, id)
		return
	}
	delete(f.ids, f.ring[f.next])
	f.ring[f.next] = id
	f.next = (f.next + 1) % forgottenIDs
}

func (f *forgotten) has(id ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.ids[id]
	return known
}
