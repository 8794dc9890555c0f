package quota

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSparse(1, 10)
		for i := range 15 {
			if skipped, ok := s.Allow(); ok != (i < 10) || skipped != 0 {
				t.Errorf("%d: %t, %d are skipped", i, ok, skipped)
			}
		}
		<-time.After(time.Second)
		if skipped, ok := s.Allow(); !ok || skipped != 5 {
			t.Errorf("after a second: %t, %d are skipped", ok, skipped)
		}
		<-time.After(time.Second)
		if skipped, ok := s.Allow(); !ok || skipped != 0 {
			t.Errorf("after one more: %t, %d are skipped", ok, skipped)
		}
	})
}
