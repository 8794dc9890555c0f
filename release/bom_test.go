package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// bomText is what is looked at of a list of modules.
type bomText struct {
	Metadata struct {
		Timestamp string
		Component bomComponent
	}
	Components   []bomComponent
	Dependencies []struct {
		Ref       string
		DependsOn []string
	}
}

type bomComponent struct {
	Ref           string `json:"bom-ref"`
	Name, Version string
	Purl          string
	Hashes        []struct{ Alg, Content string }
}

// wantModules wants a valid CycloneDX document that has every module of the binary, in the version that it has.
func wantModules(t *testing.T, s shipped) {
	text, dir := read(t, s.path("syncgate_0.1.0_linux_amd64.cdx.json")), t.TempDir()
	validBOM(t, text)
	var bom bomText
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	tool(t, nil, "tar", "-xzf", s.path("syncgate_0.1.0_linux_amd64.tar.gz"), "-C", dir, "--strip-components=1")
	binary := filepath.Join(dir, "syncgate")
	hash := fmt.Sprintf("%x", sha256.Sum256(read(t, binary)))
	if c := bom.Metadata.Component; c.Name != "syncgate" || c.Version != testVersion || len(c.Hashes) != 1 || c.Hashes[0].Content != hash {
		t.Errorf("the list is about %+v, and the binary is %s", c, hash)
	}
	var got, want, refs []string
	for _, c := range bom.Components {
		got = append(got, c.Purl)
		refs = append(refs, c.Ref)
	}
	first := tool(t, nil, "go", "version", binary)
	want = append(want, "pkg:golang/stdlib@"+strings.TrimPrefix(strings.Fields(first)[1], "go"))
	for _, m := range modulesOf(t, binary) {
		want = append(want, "pkg:golang/"+m.path+"@"+m.version)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the list has %q, and the binary %q", got, want)
	}
	if len(bom.Dependencies) != 1 || bom.Dependencies[0].Ref != bom.Metadata.Component.Ref || !slices.Equal(bom.Dependencies[0].DependsOn, refs) {
		t.Errorf("dependencies: %+v", bom.Dependencies)
	}
}

// validBOM validates a document by the schema that the CycloneDX library comes with.
func validBOM(t *testing.T, text []byte) {
	t.Helper()
	dir := filepath.Join(strings.TrimSpace(tool(t, nil, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")), "schema")
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, file := range map[string]string{
		"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, filepath.Join(dir, file))))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, schema); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("%v", err)
	}
	document.(map[string]any)["components"].([]any)[0].(map[string]any)["type"] = "none" // the schema notices
	if err := schema.Validate(document); err == nil {
		t.Error("the schema takes any type of component")
	}
}
