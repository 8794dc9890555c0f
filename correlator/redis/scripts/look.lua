-- Reads the finals of a trip that is waited for, and has their node told of the next ones.
--
-- KEYS  trip, watchers, left
-- ARGV  1 number of finals that are known
--       2 channel of the node that asks
--       3 how long it is told without asking again, ms
-- Returns 0 when there is no record, 1 when there is one, 2 when it has been released; the number of finals; and the
-- hash of the trip, unless that many are known.
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
if finals == tonumber(ARGV[1]) and state == 1 then
  return {state, finals}
end
return {state, finals, redis.call('HGETALL', trip)}
