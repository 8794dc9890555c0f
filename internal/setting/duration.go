package setting

import (
	"strings"
	"time"
)

// FormatDuration writes a duration as people do in a configuration: 5m and 1h where time.Duration writes 5m0s and 1h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
