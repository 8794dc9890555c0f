package enginesim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// steering is the member __sim of a task's data: a Behaviour in which everything is optional.
type steering struct {
	Ack         *Ack            `json:"ack"`
	AckDelay    *millis         `json:"ack_delay_ms"`
	Callback    *When           `json:"callback"`
	Delay       *Range          `json:"delay_ms"`
	Duplicates  *int            `json:"duplicates"`
	Gap         *millis         `json:"gap_ms"`
	Method      *string         `json:"method"`
	Format      *Format         `json:"format"`
	ContentType *string         `json:"content_type"`
	Body        json.RawMessage `json:"body"`
	To          *string         `json:"to"`
	SendSys     *bool           `json:"send_sys"`
	Retries     *int            `json:"retries"`
	RetryDelay  *millis         `json:"retry_delay_ms"`
}

// steered is b with what the member sim overrides.
func (b *Behaviour) steered(sim []byte) (*Behaviour, error) {
	var s steering
	dec := json.NewDecoder(bytes.NewReader(sim))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("read __sim: %w", err)
	}
	out := *b
	override(&out.Ack, s.Ack)
	override(&out.AckDelay, (*time.Duration)(s.AckDelay))
	override(&out.Callback, s.Callback)
	override(&out.Delay, s.Delay)
	override(&out.Duplicates, s.Duplicates)
	override(&out.Gap, (*time.Duration)(s.Gap))
	override(&out.Method, s.Method)
	override(&out.Format, s.Format)
	override(&out.ContentType, s.ContentType)
	override(&out.To, s.To)
	override(&out.SendSys, s.SendSys)
	override(&out.Retries, s.Retries)
	override(&out.RetryDelay, (*time.Duration)(s.RetryDelay))
	if len(s.Body) > 0 && json.Unmarshal(s.Body, &out.Body) != nil {
		out.Body = string(s.Body) // a JSON value that is no string stands for itself
	}
	if err := errors.Join(out.validate()...); err != nil {
		return nil, fmt.Errorf("read __sim: %w", err)
	}
	return &out, nil
}

func override[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
