-- Removes what a home has settled. A record stays, and so does the mark of a forgotten trip.
-- The entries of a trip go in one step with the trip: a callback that is stored again meanwhile has both, or neither.
--
-- KEYS  inbox, trips
-- ARGV  for each trip: -1 while its callbacks are needed, 0 when it is over, or how long it is to be marked as
--       forgotten, ms; the number of its entries that were heard; these entries
local inbox, at = KEYS[1], 1
for i = 2, #KEYS do
  local trip, forgotten, heard = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  for entry = at + 2, at + 1 + heard do
    redis.call('HDEL', inbox, ARGV[entry])
  end
  at = at + 2 + heard
  if forgotten >= 0 then
    local known = redis.call('HMGET', trip, 'ops', 'gone')
    if not known[1] and not known[2] then
      redis.call('UNLINK', trip)
      if forgotten > 0 then
        redis.call('HSET', trip, 'gone', '1')
        redis.call('PEXPIRE', trip, forgotten)
      end
    end
  end
end
return 1
