package corezoid

// FillModifies has as many modifies wait as may.
func (d *Dialect) FillModifies() { d.modifies.Store(mostModifies) }

// Modifies gives how many modifies wait.
func (d *Dialect) Modifies() int64 { return d.modifies.Load() }
