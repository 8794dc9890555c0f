// Package waiter completes ops by names: Corezoid's API callback logic.
package waiter

// Table is the waiters that are configured now.
type Table struct{}

// Process gives the waiters of a process, by its decoded id; nil: there are none. A nil Table has none.
func (t *Table) Process(id []byte) *Process { return nil }
