// Package waiter completes ops by names: Corezoid's API callback logic.
//
// A callback URL has a token, which completes one op. Many senders of callbacks cannot carry a URL of ours. They know a business id: an order number,
// the ref of a task, or the engine's id of it. A waiter says which ops are found by which id.
//
// # Names
//
// A waiter belongs to a process of the engine. Each op that creates a task of the process gets names (process.go), which a correlator.Namer keeps, for
// all nodes:
//
//	ref           the op's ref
//	task_id       the engine's own id of the task, once the engine has answered; with engine none it is ours: TaskID
//	data.MEMBER   a member of the task's data, if a waiter has that key
//
// The dialect that reads a client's package calls Missing when it accepts an op, Bind when the op is parked and before the engine can know it, Acked
// when the engine has answered, and Ended when the wait is over. An op that is final leaves its names finished until the waiter's timer ends: a callback
// that comes late hears that, and a new op may have them.
//
// # Completions
//
// A completion has a name and a JSON object. Table.complete is all of it: take the op that has the name, with a lease, so that of two completions the
// first wins; lay the object over the task's data; deliver it to the trip, on whatever node that is; finish the name. A completion has succeeded when the
// result is on the client's connection, or kept. If that fails the name is open again, and the sender may try once more.
//
// Completions come in three ways:
//
//	Modify     a client's op of type modify, with engine none (modify.go)
//	Modified   the same with engine forward, once the engine has done it
//	a URL      POST /api/1/json/callback/{node}/{hash}: a webhook (dialect.go, receive.go)
//
// With engine none the engine gets neither the ops of the process nor modifies: the completion alone is the result, and a webhook becomes the reply to a
// request that waits.
//
// # Early completions
//
// A completion may come before its op: the sender was faster than the client, or than the engine's answer with its id. It is held in the memory of
// this node (early.go), for as long as the waiter's early says. An op that gets the name at this node has it tried at once. As an op may get
// the name at another node, it is tried again and again, with pauses of 50 ms to half a second. Completions of one name keep their order. What is held
// ends with the process.
//
// # URLs
//
// A path is looked up by a digest of node and hash (address.go). A wrong one hears 404, the same for every reason. Then come handshakes, verification
// and the body, which package webhook reads, and the name in it. Until all this is right no store is asked. A hash that was removed hears 202 for 7 days
// and completes nothing: its sender has not been reconfigured yet, and must not retry. Those days outlast the process where Hashes are remembered.
//
// # Bounds
//
//	names               512 bytes each; a Namer bounds how many there are
//	data of a task      correlator.MaxNameData, where a waiter merges: Missing refuses more
//	early completions   16 MiB a node, with 512 bytes for each
//	events of a body    webhook.MostEvents
//	waiters             1000
//
// # Goroutines
//
//	early.run      one for each Table, until Close: it owns the early completions
//	early.try      one for each early completion that is being tried, 32 at most; ends with the attempt, deliverTime at most
package waiter
