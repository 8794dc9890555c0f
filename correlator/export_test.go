package correlator

// LimitNames changes how many names m holds, and of how many bytes.
func (m *Memory) LimitNames(most int, bytes int64) { m.names.most, m.names.limit = most, bytes }

// SweepsNames reports whether there is a goroutine for names.
func (m *Memory) SweepsNames() bool {
	m.names.mu.Lock()
	defer m.names.mu.Unlock()
	return m.names.wheel != nil
}

// FireName gives what the sweep calls for a name that is bound now, as if it had been about to.
func (m *Memory) FireName(n Name) func() {
	m.names.mu.Lock()
	defer m.names.mu.Unlock()
	b := m.names.all[n.Sum()]
	return func() { m.names.expire(b) }
}

// NameCost is what a name without Task and Data is counted with.
const NameCost = nameCost

// CMAC gives the AES-CMAC of data as tokens are authenticated with it.
func CMAC(key, data []byte) ([]byte, error) {
	c, err := newCMAC(key)
	if err != nil {
		return nil, err
	}
	mac := c.sum(data)
	return mac[:], nil
}
