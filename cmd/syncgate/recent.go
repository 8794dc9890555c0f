package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
)

const (
	// mostWarnings is how many lines recentWarnings remembers.
	mostWarnings = 200
	// warningBytes bounds each of them. Of a longer line the beginning is kept, and at most warningEnd bytes from its time on: the message
	// follows the time.
	warningBytes = 4 << 10
	warningEnd   = 1 << 10
)

// recentWarnings remembers the last lines of the log at warn or above, for operators who ask. It has them too if the log dropped them.
// Nobody who logs waits for one who asks: mu is held to copy 200 references at most.
type recentWarnings struct {
	mu    sync.Mutex
	lines [mostWarnings]warningLine // a ring; guarded by mu
	n     uint64                    // that there were; guarded by mu
}

// warningLine is a line of the log. Its bytes do not change.
type warningLine struct {
	start []byte // of the line, or all of it
	end   []byte // its time and its message, where start is not all
}

// add remembers a line. It keeps nothing of what it is given.
func (w *recentWarnings) add(line []byte) {
	kept := cutWarning(line)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines[w.n%mostWarnings] = kept
	w.n++
}

// cutWarning copies what is kept of a line.
func cutWarning(line []byte) warningLine {
	if len(line) <= warningBytes {
		return warningLine{start: bytes.Clone(line)}
	}
	// A quote within a text has a backslash before it, so this is a member. The last one is the line's own: zerolog writes the time behind all fields.
	at := bytes.LastIndex(line, []byte(`,"`+zerolog.TimestampFieldName+`":"`))
	if at < 0 {
		return warningLine{start: bytes.Clone(line[:warningBytes])}
	}
	end := line[at:min(len(line), at+warningEnd)]
	if room := warningBytes - len(end); at > room {
		return warningLine{bytes.Clone(line[:room]), bytes.Clone(end)}
	}
	return warningLine{slices.Concat(line[:at], []byte{'}'}), bytes.Clone(end)} // only the message is cut
}

// warning is a line of the log as the admin listener shows it.
type warning struct {
	Time    string         `json:"time"`
	Level   string         `json:"level"`
	Message string         `json:"message"`
	Fields  jsontext.Value `json:"fields"` // an object: what else the line has, in its order
}

// newest gives the lines, the newest first.
func (w *recentWarnings) newest() []warning {
	w.mu.Lock()
	lines, n := w.lines, w.n
	w.mu.Unlock()
	all := make([]warning, 0, min(n, mostWarnings))
	for i := range min(n, mostWarnings) {
		all = append(all, lines[(n-1-i)%mostWarnings].read())
	}
	return all
}

// read takes a line apart. Of a line that was cut, the text before each gap ends with an ellipsis.
func (l warningLine) read() (w warning) {
	fields := make(map[string]bool)
	w.Fields = append(w.Fields, '{')
	w.members(l.start, fields)
	if len(l.end) > 0 {
		w.members(append([]byte{'{'}, bytes.TrimPrefix(l.end, []byte{','})...), fields)
	}
	w.Fields = append(w.Fields, '}')
	return w
}

// members reads an object, or its beginning. seen are the names of fields so far: the first value of a name counts.
func (w *warning) members(object []byte, seen map[string]bool) {
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if _, err := d.ReadToken(); err != nil {
		return
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return // the name was cut
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			value = closeText(bytes.TrimLeft(object[d.InputOffset():], ": "))
		}
		if value.Kind() == '0' && d.InputOffset() == int64(len(object)) {
			return // the number may have been cut
		}
		if value != nil {
			w.set(name, value, seen)
		}
		if err != nil {
			return
		}
	}
}

// set takes a member of the line.
func (w *warning) set(name string, value jsontext.Value, seen map[string]bool) {
	text := func() (s string) {
		_ = json.Unmarshal(value, &s) // zerolog writes texts here
		return s
	}
	switch {
	case name == zerolog.TimestampFieldName:
		w.Time = text()
	case name == zerolog.LevelFieldName:
		w.Level = text()
	case name == zerolog.MessageFieldName:
		w.Message = text()
	case !seen[name]:
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return // the decoder has refused such a name
		}
		seen[name] = true
		if len(w.Fields) > 1 {
			w.Fields = append(w.Fields, ',')
		}
		w.Fields = slices.Concat(w.Fields, quoted, []byte{':'}, value)
	}
}

// closeText makes a whole text of the beginning of one; nil if it is none. A character or an escape that was cut goes.
func closeText(beginning []byte) jsontext.Value {
	const longest = 12 // bytes of an escape: two of \uffff make one character
	if len(beginning) == 0 || beginning[0] != '"' {
		return nil
	}
	for n := range min(longest+1, len(beginning)) {
		text := jsontext.Value(slices.Concat(beginning[:len(beginning)-n], []byte(`…"`)))
		if text.IsValid() {
			return text
		}
	}
	return nil
}
