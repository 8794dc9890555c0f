package main

import "time"

// renewEvery is the time between two looks at the files of a certificate. They are replaced days before the old one ends.
const renewEvery = 10 * time.Second

// renewal has the TLS certificate read again. It has a goroutine of its own, as a file may be on a disk that does not answer.
type renewal struct{ quit, ended chan struct{} }

func startRenewal(renew func()) *renewal {
	r := &renewal{quit: make(chan struct{}), ended: make(chan struct{})}
	go r.run(renew)
	return r
}

func (r *renewal) run(renew func()) {
	defer close(r.ended)
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			renew()
		case <-r.quit:
			return
		}
	}
}

// stop ends the goroutine, or leaves one behind that waits for a disk: the end of the process ends that.
func (r *renewal) stop() {
	close(r.quit)
	select {
	case <-r.ended:
	case <-time.After(time.Second):
	}
}
