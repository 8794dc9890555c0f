-- Stores a record, or more of one. Those who watch hear that there are new finals.
-- What the record has stands. What is stored without a record is not known to anybody but the trip, and stands only where
-- the trip says nothing else. So does what waits in the inbox of its home.
--
-- KEYS  trip, watchers, inbox
-- ARGV  1 meta
--       2 number of ops
--       3 how long an unfinished record is kept, ms
--       4 how long a complete record is kept, ms
--       5 store it: always, only over a "record"
--       6 what is published to those who watch
--       7... op and value of each final
-- Returns 1 when it is stored, 0 when it is not, or the ops that have another final already, each with that, which may be forged.
local trip, watchers, inbox = KEYS[1], KEYS[2], KEYS[3]
local recorded = redis.call('HEXISTS', trip, 'ops') == 1
if ARGV[5] == 'record' and not recorded then
  return 0
end
redis.call('HDEL', trip, 'gone')
redis.call('HSET', trip, 'meta', ARGV[1], 'ops', ARGV[2])
local fresh, standing = 0, {}
for i = 7, #ARGV, 2 do
  local added = redis.call(recorded and 'HSETNX' or 'HSET', trip, ARGV[i], ARGV[i + 1])
  fresh = fresh + added
  if recorded and added == 0 then
    local stored = redis.call('HGET', trip, ARGV[i])
    if stored ~= ARGV[i + 1] then
      standing[#standing + 1], standing[#standing + 2] = ARGV[i], stored
    end
  end
end
if not recorded then
  local name = string.sub(ARGV[6], -32)
  for op = 0, ARGV[2] - 1 do
    local waiting = redis.call('HGET', inbox, name .. op)
    local frame = waiting and string.find(waiting, ':', 1, true)
    if frame then
      fresh = fresh + redis.call('HSETNX', trip, op, string.sub(waiting, frame + 1))
    end
  end
end
local complete = redis.call('HLEN', trip) == ARGV[2] + 2
redis.call('PEXPIRE', trip, complete and ARGV[4] or ARGV[3])
if complete then
  for _, what in ipairs({'merged', 'events'}) do -- these are in the trip's slot
    redis.call('PEXPIRE', (string.gsub(trip, '}:trip:', '}:' .. what .. ':', 1)), ARGV[4])
  end
end
if fresh > 0 then
  for _, channel in ipairs(redis.call('SMEMBERS', watchers)) do
    redis.call('PUBLISH', channel, ARGV[6])
  end
end
if #standing > 0 then
  return standing
end
return 1
