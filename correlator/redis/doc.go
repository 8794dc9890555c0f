// Package redis is the correlator.Correlator of many processes that share one Redis (or Valkey, Sentinel, Cluster).
//
// A trip is parked in the table of its home node, and the id in every token names that node. A callback that
// comes to the home itself costs no command while its client is there. One that comes to another node is stored
// first, the first one for its op, and then announced on the home's channel, by one script. Those that come at the same time
// share a script and a message; one that comes alone waits for nobody. What is announced and not yet heard stays in the
// home's inbox, which the home reads whenever it may have missed something; so a lost message, a deaf subscriber or a
// restart of Redis delays a callback and does not lose it.
//
// A record is stored with the callbacks of its trip, so it has every final whichever node that comes to, and whether or
// not the home still lives. Without a record nobody but the home reads a callback, so it waits in the inbox itself, unless it
// is large, and is gone when the home has heard it; a record that is stored before that takes it along. A node where somebody waits for a trip is on the list of those who watch it: each final,
// and a release, is announced to them with a hint, and once a second, with many such trips every few seconds, they look for themselves.
//
// What an engine reports of its work is kept if there is a record of the trip, by one script: it gives the event its number, merges its members
// into what is there, and announces the event, with its body if that is small, to the nodes that watch, and to the home. A final in the
// record keeps it out. Without a record nothing is written: the home hears of it over its channel, without the body if that is large, or not at all. The script
// knows by a random number in each event, of which it remembers the last 256 of a trip, that it is run a second time after an answer that was lost.
// A node that has missed an event reads it from the store; nobody hears an event behind one that is missing.
//
// A key is bound to a trip by a string of its own, after the record of the trip is stored. A binding without a record
// counts for nothing, and the next claim of the key replaces it. What the home has claimed it claims again for trips
// in flight when it has lost its subscription, as Redis may have lost more. Claims live as long as Redis keeps them: one
// that evicts keys, or restarts without what it had, forgets those of trips that are over.
//
// A name of an op is a hash of its own, which one script binds, takes, finishes or forgets. It says who has the name until its time has passed. Who
// takes it has the right to complete the op for a while, which the server's clock measures. Each script that was run although its answer was lost can be
// run again.
//
// Others may write to Redis. So callbacks, records, what keys are bound to, who has a name, and marks carry a tag that only the holders of callback.keys
// can make, and each tag is good for one statement about one trip. What has no good tag counts for nothing; where it stands in the way of something
// genuine it is removed. Who can write can still delete, and so lose answers or have a key used twice, and can repeat events and members
// that there were, in another order: their numbers carry no tag. So it is with the right to complete an op by its name.
//
// Keys and channels carry the configured prefix, the version of what is in them, and the node's id, in braces, so that all of one node is
// in one slot of a Cluster:
//
//	{prefix}:2:{node}:trip:{name}  hash: what is stored of a trip. An op's number: status and body of its final callback.
//	                             "meta", "ops": the record, when there is one. "gone": it was forgotten.
//	{prefix}:2:{node}:merged:{name} hash: what was reported of a trip. "m", an op's number, a colon and the name of a member: that member. "seq": the
//	                             number of the last event. Sizes of it all, and "nonces". It lasts as long as the record.
//	{prefix}:2:{node}:events:{name} list: the last events of a trip, each with its number, op and status. It lasts as long as the record.
//	{prefix}:2:{node}:watch:{name} set: the channels of the nodes where somebody waits for a trip. It lasts half a minute.
//	{prefix}:2:{node}:left:{name}  hash: what was stored of a trip that was released while others waited. It lasts ten seconds.
//	{prefix}:2:{node}:inbox        hash: trip and op of each callback that the node has not heard yet, and the callback, or its
//	                             size if it is stored in the hash of its trip.
//	{prefix}:2:{node}:alive        string: the node lives, or did so ten seconds ago.
//	{prefix}:2:{node}:channel      pub/sub: callbacks for the node's trips, its own probes, and hints.
//	{prefix}:2:key:{hash}          string: what a client's key is bound to, or for a minute that a claim was undone: it may be on its
//	                             way still.
//	{prefix}:2:{hash}:name       hash: who has a name of an op, with the op's "task" and "data", and the "lease" of a Take. Or only that the op is
//	                             "final". It lasts as long as the name. Or, for a minute, that it is "unbound": a Bind may be on its way still.
//	                             The hash is that of process, key and text, in braces.
//
// # Goroutines
//
// listener.run is the only reader of the subscription, and does nothing slow. prober.run says that the node lives and
// replaces a subscription that does not bring its probes back. collector.run reads the inbox. cleaner.run removes what
// the home has settled. watch.run looks for finals of trips that are waited for. binder.run undoes and restores claims.
// All six end in Shutdown. batcher.fly takes callbacks to Redis while there are any, and tells those who relayed them: at most four
// at a time, in a Cluster four for each home; Shutdown waits for them. The table's own goroutine expires trips. A timer reports a trouble that
// lasts; it takes no goroutine meanwhile.
package redis
