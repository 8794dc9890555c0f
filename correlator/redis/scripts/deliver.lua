-- Stores one final callback of a trip, the first one for its op, and announces it to the trip's home and to those who watch.
-- What is stored already is neither changed nor announced again: it was, in the same step that stored it.
--
-- KEYS  trip, watchers, and where it is to be announced: inbox, alive, channel
-- ARGV  1 entry: name of the trip, 32 characters, and op
--       2 value
--       3 how long the trip's id is good for, ms
--       4 how long a complete record is kept, ms
--       5 store it: always, only to a "record", only to a record or for a home that is "alive"
--       6 what is published to those who watch
--       7 publishing command for the home: PUBLISH, SPUBLISH
--       8 largest value that goes with the announcement, bytes
-- Returns 1 when one is stored, now or before, 0 when nothing is kept for this trip, 2 when its home is not alive; and what
-- was stored before, if it was asked for a record.
local trip, watchers, inbox, alive, channel = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local entry, value, life, kept, when = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local known = redis.call('HMGET', trip, 'gone', 'ops')
local gone, ops = known[1], known[2]
if gone or (when == 'record' and not ops) then
  return {0}
end
if when == 'alive' and not ops and redis.call('EXISTS', alive) == 0 then
  return {2}
end
local op = string.sub(entry, 33)
if redis.call('HSETNX', trip, op, value) == 0 then
  return {1, when == 'record' and redis.call('HGET', trip, op)}
end
if not ops then
  redis.call('PEXPIRE', trip, life)
elseif redis.call('HLEN', trip) == ops + 2 then
  redis.call('PEXPIRE', trip, kept)
end
if ops then
  for _, watcher in ipairs(redis.call('SMEMBERS', watchers)) do
    redis.call('PUBLISH', watcher, ARGV[6])
  end
end
if channel then
  redis.call('HSET', inbox, entry, #value)
  if redis.call('PTTL', inbox) < tonumber(life) then
    redis.call('PEXPIRE', inbox, life)
  end
  local said = entry .. '::'
  if #value <= tonumber(ARGV[8]) then
    said = entry .. ':' .. #value .. ':' .. value
  end
  redis.call(ARGV[7], channel, said)
end
return {1}
