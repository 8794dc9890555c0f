// Package redis is the correlator.Correlator of many processes that share one Redis (or Valkey, Sentinel, Cluster).
//
// A trip is parked in the table of its home node, and the id in every token names that node. A callback that
// comes to the home itself costs no command while its client is there. One that comes to another node is stored
// first, the first one for its op, and then announced on the home's channel, by one script. What is announced and not
// yet heard stays in the home's inbox, which the home reads whenever it may have missed something; so a lost message,
// a deaf subscriber or a restart of Redis delays a callback and does not lose it.
//
// Keys and channels carry the configured prefix and the node's id, in braces, so that all of one node is in one slot of
// a Cluster:
//
//	{prefix}:{node}:trip:{name}  hash: what is stored of a trip. An op's number: status and body of its final callback.
//	                             "meta", "ops": the record, when there is one. "gone": it was forgotten.
//	{prefix}:{node}:inbox        hash: trip and op of each callback that the node has not heard yet, and its size.
//	{prefix}:{node}:alive        string: the node lives, or did so ten seconds ago.
//	{prefix}:{node}:channel      pub/sub: callbacks for the node's trips, and its own probes.
//
// # Goroutines
//
// listener.run is the only reader of the subscription, and does nothing slow. prober.run says that the node lives and
// replaces a subscription that does not bring its probes back. collector.run reads the inbox. cleaner.run removes what
// the home has settled. All four end in Shutdown. The table's own goroutine expires trips.
package redis
