package freeport_test

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"syncgate/internal/freeport"
)

func TestAddresses(t *testing.T) {
	all, err := freeport.Addresses(200)
	if err != nil || len(all) != 200 {
		t.Fatal(len(all), err)
	}
	for i, address := range all {
		_, text, err := net.SplitHostPort(address)
		if port, _ := strconv.Atoi(text); err != nil || port >= 32768-10_000 || port < 1024 || slices.Contains(all[:i], address) {
			t.Errorf("%s, %v", address, err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
}
