package rest

import (
	"slices"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// table is a whole configuration. It never changes: requests that found their route in one go on with it when there is a next one.
type table struct {
	root      node
	callers   callers
	states    map[string]*state // of calls that say nothing, by their text
	publicURL string
	tasks     *taskPlace
	config    Config
}

// node is a point in the tree of paths: it has the segments that come before it.
type node struct {
	literal   map[string]*node
	parameter *node
	here      *place // what ends here; nil: nothing
}

// place is what a path asks for: routes that have different methods, the most literal first. It is Route.Own of a Create, and of a Resource.
type place struct {
	table   *table
	routes  []*route
	methods []string
}

// role is what a path of a route is for.
type role uint8

const (
	calls        role = iota // {path}: the route itself
	subscribes               // {path}/tasks: makes subscriptions
	subscription             // {path}/tasks/{uuid}: is one
)

// route is a RouteConfig that was read, for one of its roles: Methods and pattern are those of the role.
type route struct {
	RouteConfig
	role      role
	pattern   pattern
	corezoid  bool // its engine
	schema    *schema
	state     state // of a call that says nothing
	body      int64
	quotas    []dialect.Quota
	forwarded []string // as they are looked up
	entry     string   // whom its tasks belong to, where Auth is none
	ops       int      // the most elements of a batch
}

// add puts a route at the end of a pattern.
func (n *node) add(p pattern, t *table, r *route) {
	for _, s := range p {
		next := n.parameter
		if !s.parameter {
			next = n.literal[s.text]
		}
		if next == nil {
			next = new(node)
			if s.parameter {
				n.parameter = next
			} else {
				if n.literal == nil {
					n.literal = make(map[string]*node)
				}
				n.literal[s.text] = next
			}
		}
		n = next
	}
	if n.here == nil {
		n.here = &place{table: t}
	}
	n.here.routes = append(n.here.routes, r)
	n.here.methods = methodsOf(n.here.routes)
}

// find adds the places that segments lead to. It looks at no node twice.
func (n *node) find(segments [][]byte, found []*place) []*place {
	if len(segments) == 0 {
		if n.here != nil {
			found = append(found, n.here)
		}
		return found
	}
	if next := n.literal[string(segments[0])]; next != nil {
		found = next.find(segments[1:], found)
	}
	if n.parameter != nil {
		found = n.parameter.find(segments[1:], found)
	}
	return found
}

// lookUp gives the place of a path, nil when there is none.
func (t *table) lookUp(path []byte) *place {
	var room [16][]byte
	segments, ok := splitPath(room[:], path)
	if !ok {
		return nil
	}
	var places [4]*place
	found := t.root.find(segments, places[:0])
	if len(found) == 0 {
		return nil
	}
	if len(found) == 1 {
		return found[0]
	}
	all := &place{table: t}
	for _, p := range found {
		all.routes = append(all.routes, p.routes...)
	}
	slices.SortStableFunc(all.routes, func(a, b *route) int { return b.pattern.literals() - a.pattern.literals() })
	resource := all.routes[0].role == subscription // which shares no path with others: the more literal one has all methods
	all.routes = slices.DeleteFunc(all.routes, func(r *route) bool { return (r.role == subscription) != resource })
	all.methods = methodsOf(all.routes)
	return all
}

// of gives the route of a method, nil when there is none.
func (p *place) of(method string) *route {
	for _, r := range p.routes {
		if slices.Contains(r.Methods, method) || method == fasthttp.MethodHead && slices.Contains(r.Methods, fasthttp.MethodGet) {
			return r
		}
	}
	return nil
}

// methodsOf gives the methods that a path answers.
func methodsOf(routes []*route) (methods []string) {
	add := func(m string) {
		if !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	for _, r := range routes {
		for _, m := range r.Methods {
			add(m)
			if m == fasthttp.MethodGet {
				add(fasthttp.MethodHead)
			}
		}
	}
	add(fasthttp.MethodOptions)
	return methods
}

// parameters gives what the segments of a path say for the parameters of the route, and the path without the signature behind it.
func (r *route) parameters(path []byte) (params []dialect.Param, own []byte, signature [signatureParts][]byte) {
	own = path
	if r.Auth == AuthCorezoid {
		own, signature = cutSignature(path, len(r.pattern))
	}
	var room [16][]byte
	if r.pattern.literals() == len(r.pattern) {
		return nil, own, signature
	}
	segments, _ := splitPath(room[:], own)
	for i, s := range r.pattern {
		if s.parameter && i < len(segments) {
			params = append(params, dialect.Param{Name: s.text, Value: string(segments[i])})
		}
	}
	return params, own, signature
}

// signatureParts are {login}/{time}/{signature}.
const signatureParts = 3

// cutSignature cuts the last three segments off a path that has more than so many.
func cutSignature(path []byte, segments int) (own []byte, signature [signatureParts][]byte) {
	n := 0
	for i, c := range path {
		if c != '/' {
			continue
		}
		if n++; n == segments+1 {
			own = path[:i]
			part := 0
			start := i + 1
			for j := start; j <= len(path) && part < signatureParts; j++ {
				if j == len(path) || path[j] == '/' {
					signature[part], part, start = path[start:j], part+1, j+1
				}
			}
			return own, signature
		}
	}
	return path, signature
}
