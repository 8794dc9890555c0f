-- Removes what a home has settled. A record stays, and so does the mark of a forgotten trip.
-- The entries of a trip that is over go in one step with the trip: a callback that is stored again meanwhile has both, or
-- neither.
--
-- KEYS  inbox, trips that are over
-- ARGV  1 the number of entries that were heard
--       then these entries
--       then for each trip how long it is to be marked as forgotten, ms, 0: not; and the mark
local inbox, heard = KEYS[1], tonumber(ARGV[1])
local most = 1000 -- arguments of one command: Lua's stack has an end
for i = 2, heard + 1, most do
  redis.call('HDEL', inbox, unpack(ARGV, i, math.min(i + most - 1, heard + 1)))
end
for i = 2, #KEYS do
  local trip, forgotten, mark = KEYS[i], tonumber(ARGV[heard + 2 * i - 2]), ARGV[heard + 2 * i - 1]
  local known = redis.call('HMGET', trip, 'ops', 'gone')
  if not known[1] and not known[2] then
    redis.call('UNLINK', trip)
    if forgotten > 0 then
      redis.call('HSET', trip, 'gone', mark)
      redis.call('PEXPIRE', trip, forgotten)
    end
  end
end
return 1
