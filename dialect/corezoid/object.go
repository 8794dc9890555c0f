package corezoid

// object builds a JSON object of members that come one after another. A name that comes again makes an array, where it
// came first. The values are kept as text, so that many small ones cost little more than their bytes.
type object struct {
	names  []objectName
	values []byte        // JSON texts, back to back
	ends   []objectValue // one per value
	index  map[string]int
}

// objectName is a member: the first and the last of its values.
type objectName struct {
	name        string
	first, last int32
}

// objectValue is where a value ends, and the next of the same name, 0 when there is none: the first is nobody's next.
type objectValue struct{ end, next int32 }

// add gives a name to the text that was just appended to values.
func (o *object) add(name string) {
	n := int32(len(o.ends))                                         //nolint:gosec // bodies are smaller than 2 GiB
	o.ends = append(o.ends, objectValue{end: int32(len(o.values))}) //nolint:gosec // likewise
	i, known := o.find(name)
	if !known {
		o.names = append(o.names, objectName{name, n, n})
		if o.index != nil {
			o.index[name] = i
		}
		return
	}
	o.ends[o.names[i].last].next = n
	o.names[i].last = n
}

// find gives the place of a name among the names, the next free one when it is new.
func (o *object) find(name string) (i int, known bool) {
	if len(o.names) > fewNames && o.index == nil {
		o.index = make(map[string]int, 2*len(o.names))
		for i := range o.names {
			o.index[o.names[i].name] = i
		}
	}
	if o.index != nil {
		i, known = o.index[name]
		if !known {
			i = len(o.names)
		}
		return i, known
	}
	for i := range o.names {
		if o.names[i].name == name {
			return i, true
		}
	}
	return len(o.names), false
}

// empty reports whether there is no member.
func (o *object) empty() bool { return len(o.names) == 0 }

func (o *object) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range o.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		member := &o.names[i]
		dst = append(appendQuoted(dst, member.name), ':')
		if member.first == member.last {
			dst = append(dst, o.text(member.first)...)
			continue
		}
		open := byte('[')
		for n := member.first; ; n = o.ends[n].next {
			dst = append(append(dst, open), o.text(n)...)
			open = ','
			if n == member.last {
				break
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (o *object) text(n int32) []byte {
	start := int32(0)
	if n > 0 {
		start = o.ends[n-1].end
	}
	return o.values[start:o.ends[n].end]
}
