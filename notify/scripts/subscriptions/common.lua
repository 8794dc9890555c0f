-- Begins every script of subscriptions. ARGV[1] is what all keys of the shard begin with. KEYS[2] never exists; keys in sharded.go says why.
--
-- s:{id}              hash: a subscription. "owner", "group", "mode", "url", "topic", "task", "state"; "created" and "ended" in Unix milliseconds; "sealed":
--                     the secrets; "last", JSON. One that is not active expires, and one that does not last for ever.
-- active:{owner}      set: ids of the active ones of an owner
-- lapses:{owner}      sorted set: ids of those that do not last for ever, by when they expire, in Unix milliseconds
-- group:{n}:{owner}{group}  set: ids of the active continuous ones of an owner and a group. n is the length of the owner.
-- topic:{random}      stream: notifications, with fields "id" and "body". It expires with its subscription.
-- topic:{random}:ids  sorted set: ids of its last notifications, numbered
local call, prefix = redis.call, ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = {'id', 'owner', 'group', 'mode', 'url', 'topic', 'task', 'state', 'created', 'ended', 'sealed', 'last'}

local function activeKey(owner)
  return prefix .. 'active:' .. owner
end

local function lapsesKey(owner)
  return prefix .. 'lapses:' .. owner
end

local function groupKey(owner, group)
  return prefix .. 'group:' .. #owner .. ':' .. owner .. group
end

-- Reports whether a key is that of a topic of this shard: others can write to the hash that names it.
local function isTopic(key)
  return key and string.sub(key, 1, #prefix + 6) == prefix .. 'topic:'
end

