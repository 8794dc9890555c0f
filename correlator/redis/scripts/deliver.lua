-- Stores final callbacks of trips of one home, each the first one for its op, and announces them to the home and to those who
-- watch. What is stored already is neither changed nor announced again: it was, in the same step that stored it.
--
-- KEYS  inbox, alive and channel of the home; then for each callback: trip, watchers
-- ARGV  1 store them: always, only to a "record", only to a record or for a home that is "alive"
--       2 how long a complete record is kept, ms; 0: as long as the trip's id is good
--       3 publishing command for the home: PUBLISH, SPUBLISH; empty: they are not announced to it
--       4 largest value that goes with the announcement, bytes
--       5 how long a message to the home gets before the next one is begun, bytes
--       6 what is published to those who watch, before the name of the trip
--       then for each callback: entry, which is the name of the trip, 32 characters, and op; value; how long the id is good, ms
-- Returns for each callback 1 when one is stored, now or before, 0 when nothing is kept for this trip, 2 when its home is not
-- alive, 3 when what is stored there is no trip; or what was stored before, if it was asked for a record.
local call, try = redis.call, redis.pcall
local inbox, alive, channel = KEYS[1], KEYS[2], KEYS[3]
local when, kept, publish, hint = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[6]
local inline, long = tonumber(ARGV[4]), tonumber(ARGV[5])
local lives = when ~= 'alive' or call('EXISTS', alive) == 1

-- Whatever may go wrong for one callback alone is tried: an error would end the script before the others are announced.
local function put(trip, watchers, entry, value, life)
  local known = try('HMGET', trip, 'gone', 'ops')
  if known.err then
    return 3, false
  end
  local gone, ops = known[1], known[2]
  if gone or (when == 'record' and not ops) then
    return 0, false
  end
  if not ops and not lives then
    return 2, false
  end
  local op = string.sub(entry, 33)
  if call('HSETNX', trip, op, value) == 0 then
    return when == 'record' and call('HGET', trip, op) or 1, false
  end
  if not ops then
    call('PEXPIRE', trip, life)
    return 1, true
  end
  if call('HLEN', trip) == ops + 2 then
    call('PEXPIRE', trip, kept > 0 and kept or life)
  end
  for _, watcher in ipairs(try('SMEMBERS', watchers)) do
    try('PUBLISH', watcher, hint .. string.sub(entry, 1, 32))
  end
  return 1, true
end

local results, unheard, full, message, length, longest = {}, {}, {}, {}, 0, 0
local at = 7
for i = 4, #KEYS, 2 do
  local entry, value, life = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local result, new = put(KEYS[i], KEYS[i + 1], entry, value, life)
  results[#results + 1] = result
  if new and publish ~= '' then
    local n, size = #message, #value
    unheard[#unheard + 1], unheard[#unheard + 2] = entry, size
    longest = math.max(longest, life)
    if size <= inline then
      message[n + 1], message[n + 2], message[n + 3], message[n + 4], message[n + 5] = entry, ':', size, ':', value
      length = length + size
    else
      message[n + 1], message[n + 2] = entry, '::'
    end
    if length >= long then
      full[#full + 1], message, length = table.concat(message), {}, 0
    end
  end
  at = at + 3
end
if #unheard > 0 then
  call('HSET', inbox, unpack(unheard)) -- first: what it has is heard in the end, whatever becomes of the messages
  if call('PTTL', inbox) < longest then
    call('PEXPIRE', inbox, longest)
  end
  for _, text in ipairs(full) do
    call(publish, channel, text)
  end
  if #message > 0 then
    call(publish, channel, table.concat(message))
  end
end
return results
