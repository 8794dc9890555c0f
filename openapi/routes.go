package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"syncgate/configs"
	"syncgate/dialect/rest"
)

// Input is what a description of routes is made of.
type Input struct {
	Config *configs.Config // valid
	// Schemas are the JSON Schemas of bodies, by the names of routes: what stands in the files that schema of the routes names.
	Schemas map[string][]byte
	Title   string // of the description; empty: Routes
	Version string // of the API, which the owner of the routes chooses; empty: 1
	// ForClients leaves out what engines get, and what they call.
	ForClients bool
}

// ErrNoRoutes says that there is nothing to describe.
var ErrNoRoutes = errors.New("the configuration has no routes, so there is nothing to describe")

// Routes describes the routes of a configuration, their tasks and subscriptions, what engines get and call, and what receivers of results get. It has no
// secret, and no address but listen.public_url. The same Input gives the same bytes.
func Routes(in Input) (*Document, error) {
	if len(in.Config.Routes) == 0 {
		return nil, ErrNoRoutes
	}
	b := &builder{Input: in, rest: in.Config.Rest(), paths: object(), hooks: object(), used: make(map[string]*yaml.Node), shared: make(map[string]*sharedAnswer)}
	library, err := Parse(parts)
	if err != nil {
		return nil, err
	}
	b.library = library.root
	places, err := b.rest.Places()
	if err != nil {
		return nil, fmt.Errorf("describe routes: %w", err)
	}
	if err := b.bodies(); err != nil {
		return nil, err
	}
	for _, p := range places {
		b.place(p)
	}
	b.tasks()
	if !in.ForClients {
		b.engines()
	}
	return b.document(), nil
}

// builder makes one description.
type builder struct {
	Input
	rest    rest.Config
	library *yaml.Node            // parts.yaml
	paths   *yaml.Node            // as in the description
	hooks   *yaml.Node            // webhooks
	used    map[string]*yaml.Node // parts that the description refers to, by kind/name
	shapes  []shape
	shared  map[string]*sharedAnswer // by what they say
}

// shape is a path of which the names of parameters do not count: a description has each once.
type shape struct{ pattern, path string }

// document puts the description together.
func (b *builder) document() *Document {
	title, version := b.Title, b.Version
	if title == "" {
		title = "Routes"
	}
	if version == "" {
		version = "1"
	}
	d := object(
		"openapi", "3.1.1",
		"info", object("title", title, "version", version, "description", b.introduction()),
		"servers", list(b.server()),
		"tags", b.tags(),
		"paths", b.paths,
	)
	if len(b.hooks.Content) > 0 {
		set(d, "webhooks", b.hooks)
	}
	for _, of := range []*yaml.Node{b.paths, b.hooks} {
		b.countAnswers(of)
	}
	for _, of := range []*yaml.Node{b.paths, b.hooks} {
		b.shareAnswers(of)
	}
	set(d, "components", b.components())
	compact(d)
	return &Document{d}
}

func (b *builder) introduction() string {
	text := `Every answer has X-Request-Id, by which the gateway's log knows the request. HEAD works where GET is, and OPTIONS everywhere; another method is 405, with Allow. A page of a browser
can read the answers if its origin is listed in origins of its key, or in cors.origins. An error is a problem (RFC 9457), unless the engine has said it.

`
	if slices.ContainsFunc(b.Config.Routes, func(r rest.RouteConfig) bool { return r.View == rest.ViewOS1 }) {
		text += "Errors of routes with the words of OS1 have OS1's form, and are no problems.\n\n"
	}
	return text + "syncgate openapi has made this from the configuration of the gateway."
}

func (b *builder) server() *yaml.Node {
	if url := strings.TrimRight(b.Config.Listen.PublicURL, "/"); url != "" {
		return object("url", url)
	}
	return object("url", "/", "description", "Where the gateway's public listener is reached. listen.public_url of the configuration would say it.")
}

func (b *builder) tags() *yaml.Node {
	all := list()
	for i := range b.Config.Routes {
		all.Content = append(all.Content, object("name", b.Config.Routes[i].Name))
	}
	all.Content = append(all.Content, object("name", tagTasks, "description", "What a client that did not wait asks for its result."))
	if len(b.hooks.Content) > 0 {
		all.Content = append(all.Content, object("name", tagEngines, "description", "What engines get, and what they call. Clients need nothing of this."))
	}
	return all
}

const (
	tagTasks   = "Tasks" // a route can have the name too, which does no harm
	tagEngines = "Engines"
)

// place describes one path of a route.
func (b *builder) place(p rest.Place) {
	for _, method := range p.Methods {
		path, parameters := b.path(p.Path)
		var op *yaml.Node
		switch p.Is {
		case rest.PlaceCalls:
			op = b.call(p.Route, method, parameters)
		case rest.PlaceSubscribes:
			op = b.subscribe(p.Route, parameters)
		default:
			op = b.subscription(p.Route, method, parameters)
		}
		b.operation(path, method, op)
	}
}

// operation adds one to a path.
func (b *builder) operation(path, method string, op *yaml.Node) {
	item := member(b.paths, path)
	if item == nil {
		item = object()
		set(b.paths, path, item)
	}
	set(item, strings.ToLower(method), op)
}

// path gives the name of a path in the description, and its parameters. Two paths that differ in the names of parameters alone are one, with the names of
// the first.
func (b *builder) path(path string) (name string, parameters []*yaml.Node) {
	var pattern, unique strings.Builder
	var names []string
	for part := range strings.SplitSeq(path[1:], "/") {
		if strings.HasPrefix(part, "{") {
			for slices.Contains(names, part) { // one of a route's own, and one of ours behind it
				part = part[:len(part)-1] + "_}"
			}
			names = append(names, part)
			pattern.WriteString("/{}")
		} else {
			pattern.WriteString("/" + part)
		}
		unique.WriteString("/" + part)
	}
	name = unique.String()
	if i := slices.IndexFunc(b.shapes, func(s shape) bool { return s.pattern == pattern.String() }); i >= 0 {
		name = b.shapes[i].path
	} else {
		b.shapes = append(b.shapes, shape{pattern.String(), name})
	}
	for part := range strings.SplitSeq(name[1:], "/") {
		if strings.HasPrefix(part, "{") {
			parameters = append(parameters, object("name", strings.Trim(part, "{}"), "in", "path", "required", true, "schema", object("type", "string", "minLength", 1)))
		}
	}
	return name, parameters
}

// signed puts the shared descriptions of {login}/{time}/{signature} in the place of the last three parameters of a path.
func (b *builder) signed(parameters []*yaml.Node) []*yaml.Node {
	n := len(parameters) - signatureParts
	all := slices.Clone(parameters)
	for i, part := range []string{"Login", "Time", "Signature"} {
		if member(parameters[n+i], "name").Value == strings.ToLower(part) { // else the route has a parameter of that name itself
			all[n+i] = b.part("parameters", part)
		}
	}
	return all
}

// signatureParts are {login}/{time}/{signature}.
const signatureParts = 3

// part gives a reference to a part of the library, which the description then has, with all that this part refers to.
func (b *builder) part(kind, name string) *yaml.Node {
	key := kind + "/" + name
	if b.used[key] == nil {
		n := member(member(b.library, kind), name)
		if n == nil {
			panic("openapi: there is no part " + key) // it is named here
		}
		b.used[key] = n
		b.follow(n)
	}
	return refTo(kind, name)
}

// follow adds the parts that a node refers to.
func (b *builder) follow(n *yaml.Node) {
	if r := member(n, "$ref"); r != nil {
		if kind, name, ok := strings.Cut(strings.TrimPrefix(r.Value, refPrefix), "/"); ok && member(member(b.library, kind), name) != nil {
			b.part(kind, name)
		}
	}
	for _, c := range n.Content {
		b.follow(c)
	}
}

// own adds a part that the library does not have, and gives a reference to it.
func (b *builder) own(kind, name string, n *yaml.Node) *yaml.Node {
	b.used[kind+"/"+name] = n
	return refTo(kind, name)
}

// components gives the parts that the description refers to.
func (b *builder) components() *yaml.Node {
	all := object()
	for _, kind := range []string{"securitySchemes", "parameters", "headers", "responses", "schemas"} {
		var names []string
		for key := range b.used {
			if name, ok := strings.CutPrefix(key, kind+"/"); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		of := object()
		for _, name := range names {
			set(of, name, b.used[kind+"/"+name])
		}
		if len(names) > 0 {
			set(all, kind, of)
		}
	}
	return all
}
