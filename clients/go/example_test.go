package syncgate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	syncgate "syncgate/clients/go"
)

func ExampleClient_Call() {
	gate := &syncgate.Client{URL: "https://sync.example.com", Key: "a-key-of-yours"}

	transfer := map[string]any{"amount": 12}
	result, err := gate.Call(context.Background(), "/v1/transfers/card", transfer, syncgate.IdempotencyKey("transfer-8731"), syncgate.Wait(time.Minute))
	var failed *syncgate.Error
	switch {
	case errors.As(err, &failed) && failed.Maybe:
		fmt.Println("its end is not known: ask again with Await", failed.Task)
	case err != nil:
		fmt.Println("there is no transfer:", err)
	default:
		fmt.Println(string(result.Body))
	}
}

func ExampleOnProgress() {
	gate := &syncgate.Client{URL: "https://sync.example.com", Key: "a-key-of-yours"}

	_, _ = gate.Call(context.Background(), "/v1/reports", nil, syncgate.OnProgress(func(progress json.RawMessage) {
		fmt.Println(string(progress))
	}))
}

func ExampleClient_CallCorezoid() {
	gate := &syncgate.Client{URL: "https://sync.example.com", Login: "12345", Secret: "of-the-login"}

	op := map[string]any{"type": "create", "obj": "task", "conv_id": 1234, "data": map[string]any{"amount": 5}}
	reply, err := gate.CallCorezoid(context.Background(), []any{op})
	if err == nil && reply.Ops[0].Proc == "ok" {
		fmt.Println(string(reply.Ops[0].Data))
	}
}
