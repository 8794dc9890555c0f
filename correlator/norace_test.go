//go:build !race

package correlator_test

// raceEnabled says that times and allocations mean nothing.
const raceEnabled = false
