package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// bom writes the list of the modules in a binary, in CycloneDX's format. It has what the linker wrote into that binary and no more: there are no licences, as
// nothing proves them, and no order among the modules, as the binary does not say which needs which.
func (r *release) bom(b built) error {
	main := r.mainComponent(b)
	components := []cdx.Component{goComponent(b.modules.GoVersion)}
	for _, dep := range b.modules.Deps {
		components = append(components, moduleComponent(replaced(dep)))
	}
	needs := cdx.Dependency{Ref: main.BOMRef, Dependencies: &[]string{}}
	for _, c := range components {
		*needs.Dependencies = append(*needs.Dependencies, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = uuid.NewHash(sha256.New(), uuid.NameSpaceURL, b.binary, 8).URN() // the same binary has the same list
	bom.Metadata = &cdx.Metadata{Timestamp: r.time.Format(time.RFC3339), Component: main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{needs}
	var text bytes.Buffer
	encoder := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return fmt.Errorf("the list of modules: %w", err)
	}
	return r.write(r.base(b.platform)+".cdx.json", text.Bytes())
}

// mainComponent is the binary itself, by its hash.
func (r *release) mainComponent(b built) *cdx.Component {
	var settings []cdx.Property
	for _, s := range b.modules.Settings {
		if strings.HasPrefix(s.Key, "GO") || s.Key == "CGO_ENABLED" || s.Key == "-trimpath" {
			settings = append(settings, cdx.Property{Name: "syncgate:build:" + s.Key, Value: s.Value})
		}
	}
	purl := "pkg:golang/" + b.modules.Main.Path + "@" + r.version
	return &cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeApplication, Name: name, Version: r.version, PackageURL: purl,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(b.binary))}},
		Properties: &settings,
	}
}

// goComponent is the standard library, under the name by which lists of vulnerabilities know it.
func goComponent(version string) cdx.Component {
	version = strings.TrimPrefix(version, "go")
	purl := "pkg:golang/stdlib@" + version
	return cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: "stdlib", Version: version, PackageURL: purl}
}

func moduleComponent(m *debug.Module) cdx.Component {
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl}
	if m.Sum != "" {
		c.Properties = &[]cdx.Property{{Name: "syncgate:go.sum", Value: m.Sum}}
	}
	return c
}
