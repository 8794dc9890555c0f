package openapi_test

import (
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"syncgate/openapi"
)

// valid wants that a description is one of OpenAPI 3.1, by a library that knows what that is, with schemas of JSON Schema 2020-12 and examples that fulfil them.
func valid(t *testing.T, text []byte) *openapi3.T {
	t.Helper()
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.1" {
		t.Errorf("the version is %s", d.OpenAPI)
	}
	return d
}

func TestCorezoidIsValid(t *testing.T) { valid(t, openapi.Corezoid()) }

func TestAdminIsValid(t *testing.T) { valid(t, openapi.Admin()) }

func TestRoutesAreValid(t *testing.T) {
	text, err := os.ReadFile("routes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	valid(t, text)
}
