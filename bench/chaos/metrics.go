package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// gauge finds a metric without labels in Prometheus' text; -1 when it is not there.
func gauge(text io.Reader, name string) int {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return -1
			}
			return int(n)
		}
	}
	return -1
}
