// Package notify delivers notifications to URLs that clients named.
//
// A notification is kept in a Store until it is delivered. A Sender claims those that are due, makes one attempt of each, and stores what came
// of it before it does anything else. NewMemory is a Store for the life of the process; NewRedis is one that all nodes share: any of them
// makes the attempts, and one that is killed loses none.
//
// # Promises
//
// A notification has at least one attempt once Send has returned nil, and is not lost as long as its store loses nothing: with NewRedis as long as
// that Redis keeps what it answered (append-only file, noeviction, a replica that has it).
//
// It is not sent again after a 2xx that was heard: the 2xx is stored first, and a Sender that cannot reach its store tries until it can. Nobody claims the
// notification before its lease ended, and the grace after somebody saw that, so this holds through a restart of Redis of any length. It does not hold for
// a process that ends, or is cut off from Redis while others are not, between hearing a 2xx and storing it: then it comes again, with the same webhook-id.
//
// An attempt is a POST with the headers of Standard Webhooks: the same webhook-id each time, a new webhook-timestamp, and a
// signature for each live secret. It takes Timeout at most. What the status says:
//
//	2xx       delivered, whatever becomes of the body behind it
//	403       refused; no more attempts
//	410       gone; Config.Gone hears it, no more attempts
//	others    a failure; a redirect is not followed
//
// After a failure the next attempt is made when the schedule says so, and not before the Retry-After of a 429 or 503. When no attempt is left within the
// window the notification is dead. Refused, gone and dead ones are kept for 7 days.
//
// Attempts at one host and port share its slots: 8, and 1 when its last attempt ran out of time, in the body of an answer too. So a receiver that hangs costs these. It delays others
// only when all slots of the process, 512, are taken: for a time-out when 64 hosts begin to hang at once, and longer when 512 hosts do.
//
// What a client names costs bounded room: URLs, headers, secrets and answers have limits, Put fails when too many notifications are open, and no claim is
// made while the bodies of all attempts that run have 256 MiB. A claim gives bodies of 32 MiB at most, so all have less than 288 MiB.
//
// The header and the secrets of a notification are stored sealed, for its id, subscription, URL and body alone: who can write to Redis can have
// nothing else sent, and can lose or repeat what is there. Bodies and URLs are stored as they are.
//
// # Outbox
//
// An Outbox remembers tasks whose results are to be sent, from before the engine has them until the last notification is delivered. It calls a PushFunc for each
// when its time has come, and at once where Look says so. With NewRedisOutbox a task is looked at by one node at a time: it is put off by Lease, and when the node is
// killed it is due again after that. A look at a task that the store does not know does nothing: so an engine that repeats a callback has nothing sent again.
//
// # Subscriptions
//
// Subscriptions keep who wants to hear of which tasks, and where. One without a URL has a topic: a stream in Redis, which clients read themselves. Its name cannot be
// guessed, and it keeps the last 10,000 notifications, or 64 MiB. In Redis a subscription is sealed, so nobody but a gateway can make one.
//
// # Goroutines
//
// Sender.run claims. Each attempt that runs has one. Close starts one that waits for them. All these have ended when Close returns. A dial of net/http's
// may outlive them by Timeout at most. Outbox.run asks what is due, and at most Workers goroutines look at tasks. Outbox.Close starts one that waits for them, and
// all have ended when it returns.
package notify
