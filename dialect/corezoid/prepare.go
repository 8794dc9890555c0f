package corezoid

import (
	"errors"

	"syncgate/gateway"
)

// Prepare makes the package of one task of what a route asks for.
func (*Dialect) Prepare(*gateway.Call) error {
	return errors.New("corezoid: routes are not built yet")
}
