// Package openapi describes what the gateway serves, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1).
//
// Two descriptions are the same for every gateway, and are files: that of Corezoid's Sync API, and that of the admin listener. The third one, of routes,
// depends on the configuration: Routes makes it. Its constant parts stand in parts.yaml, and a document has those that it refers to.
//
// The package reads no file and asks nobody: what it gives depends on its arguments alone.
package openapi

import (
	_ "embed"
	"fmt"

	"go.yaml.in/yaml/v4"
)

var (
	//go:embed corezoid.yaml
	corezoid []byte
	//go:embed admin.yaml
	admin []byte
	//go:embed parts.yaml
	parts []byte
)

// Corezoid gives the description of Corezoid's Sync API as the gateway speaks it, in YAML. It must not be changed.
func Corezoid() []byte { return corezoid }

// Admin gives the description of the admin listener, in YAML. It must not be changed.
func Admin() []byte { return admin }

// Document is a description.
type Document struct{ root *yaml.Node }

// Parse reads a description that is YAML or JSON. It does not check that it is one.
func Parse(text []byte) (*Document, error) {
	var n yaml.Node
	if err := yaml.Load(text, &n); err != nil {
		return nil, fmt.Errorf("read a description: %w", err)
	}
	root := &n
	if root.Kind == yaml.DocumentNode {
		root = root.Content[0]
	}
	return &Document{root}, nil
}

// lineWidth is where lines of texts are broken.
const lineWidth = 160

// YAML writes the description as YAML.
func (d *Document) YAML() ([]byte, error) {
	out, err := yaml.Dump(clone(d.root), yaml.WithLineWidth(lineWidth))
	if err != nil {
		return nil, fmt.Errorf("write a description: %w", err)
	}
	return out, nil
}

// JSON writes the description as JSON, with the members in the order of the YAML.
func (d *Document) JSON() ([]byte, error) {
	out, err := appendJSON(nil, d.root, "")
	if err != nil {
		return nil, fmt.Errorf("write a description: %w", err)
	}
	return append(out, '\n'), nil
}
