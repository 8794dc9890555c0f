package main

import (
	"fmt"
	"slices"
)

// matrix is every component with every fault.
func matrix() []cell {
	return slices.Concat(gatewayCells(), redisCells(), topologyCells(), engineCells(), callbackCells(), clientCells(), clockCells(), pushCells())
}

// Proofs that a fault was felt.

// some wants that there were trips of one of these kinds.
func some(kinds ...verdict) func(*result) error {
	return func(r *result) error {
		for _, v := range kinds {
			if r.counts[v] > 0 {
				return nil
			}
		}
		return fmt.Errorf("the fault was not felt: no trip was %v", kinds)
	}
}

// all wants that every trip was of one of these kinds.
func all(allowed ...verdict) func(*result) error {
	return func(r *result) error {
		for v, n := range r.counts {
			if n > 0 && !slices.Contains(allowed, v) {
				return fmt.Errorf("%d trips were %s; every one should be %v: %s", n, v, allowed, r.first[v].story(r.evidence))
			}
		}
		return nil
	}
}

// both wants both.
func both(a, b func(*result) error) func(*result) error {
	return func(r *result) error {
		if err := a(r); err != nil {
			return err
		}
		return b(r)
	}
}
