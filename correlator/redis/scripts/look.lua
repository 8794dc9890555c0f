-- Reads the finals and the events of a trip that is waited for, and has the node that asks hear the next ones.
--
-- KEYS  trip, watchers, left, merged, events
-- ARGV  1 number of finals that are known
--       2 channel of the node that asks
--       3 how long it hears them without asking again, ms
--       4 number of the last event that is known, -1: they do not matter
-- Returns 0 when there is no record, 1 when there is one, 2 when it has been released; the number of finals; the
-- hash of the trip, or 0 when that many are known; and the events after the last one that is known. What there is nothing of at the end is left out.
local trip, watchers, left = KEYS[1], KEYS[2], KEYS[3]
local state = 1
if redis.call('HEXISTS', trip, 'ops') == 0 then
  if redis.call('EXISTS', left) == 0 then
    return {0, 0}
  end
  trip, state = left, 2
else
  local added = redis.call('SADD', watchers, ARGV[2])
  if added == 1 or redis.call('PTTL', watchers) < ARGV[3] / 2 then
    redis.call('PEXPIRE', watchers, ARGV[3])
  end
end
local finals = redis.call('HLEN', trip) - 2
local after, events = tonumber(ARGV[4]), nil
local last = after >= 0 and tonumber(redis.call('HGET', KEYS[4], 'seq') or '') or after
if last > after then
  events = redis.call('LRANGE', KEYS[5], math.max(0, redis.call('LLEN', KEYS[5]) - (last - after)), -1)
end
if finals == tonumber(ARGV[1]) and state == 1 then
  return events and {state, finals, 0, events} or {state, finals}
end
return {state, finals, redis.call('HGETALL', trip), events}
