package correlator

import "sync"

// forgottenIDs is how many trips are remembered that ended unfinished with nothing kept. With as many in memory
// they take 8 MB.
const forgottenIDs = 100_000

// forgotten remembers the last ids that were added to it. The zero value is ready.
type forgotten struct {
	mu    sync.Mutex
	ids   map[ID]struct{}
	order []ID // in the order of adding, the oldest at next
	next  int
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
	if len(f.order) < forgottenIDs {
		f.order = append(f.order, id)
		return
	}
	delete(f.ids, f.order[f.next])
	f.order[f.next] = id
	f.next = (f.next + 1) % forgottenIDs
}

func (f *forgotten) has(id ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.ids[id]
	return known
}
