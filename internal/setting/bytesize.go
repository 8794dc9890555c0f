// Package setting has the values of a configuration: how they are written, and what is wrong with them.
package setting

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written as 512, 64KiB, 1MiB or 2GiB.
type ByteSize int64

// Units of ByteSize.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

var errByteSize = errors.New("must be a number of bytes such as 512, 64KiB, 1MiB or 2GiB")

// UnmarshalText reads a whole number with one of the units, or without for bytes.
func (b *ByteSize) UnmarshalText(text []byte) error {
	s, unit := string(text), ByteSize(1)
	for _, u := range byteUnits() {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = n, u.size
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || ByteSize(n) > math.MaxInt64/unit {
		return errByteSize
	}
	*b = ByteSize(n) * unit
	return nil
}

// String writes the size in the largest unit that divides it.
func (b ByteSize) String() string {
	for _, u := range byteUnits() {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes what String does.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

type byteUnit struct {
	name string
	size ByteSize
}

func byteUnits() [3]byteUnit {
	return [...]byteUnit{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}
}
