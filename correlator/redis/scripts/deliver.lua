-- Stores final callbacks of trips of one home, each the first one for its op, and announces them to the home and to those who
-- watch. What is stored already is neither changed nor announced again: it was, in the same step that stored it.
--
-- A small callback that is announced, of a trip without a record, waits in the home's inbox, as nobody else reads it. Every
-- other one is stored in the hash of its trip, and the inbox has its size.
--
-- KEYS  inbox, alive and channel of the home; then the trip of each callback; then who watches each
-- ARGV  1 store them: always, only to a "record", only to a record or for a home that is "alive"
--       2 how long a complete record is kept, ms; 0: as long as the trip's id is good
--       3 publishing command for the home: PUBLISH, SPUBLISH; empty: they are not announced to it
--       4 "small" or "large": whether the values go with the announcement, framed as they do
--       5 what is published to those who watch, before the name of the trip
--       6 the longest time that an id is good, ms
--       then for each callback: entry, which is the name of the trip, 32 characters, and op; value, in its frame if small
--       then for each callback: how long its id is good, ms
-- Returns the number of callbacks when all of them were new. Else for each of them: 1 when it is stored, 3 when it was before, 0 when
-- nothing is kept for this trip, 2 when its home is not alive; or what is there instead, which may be forged: where, "inbox", "trip"
-- or "gone", and the text.
local call, try = redis.call, redis.pcall
local inbox, alive, channel = KEYS[1], KEYS[2], KEYS[3]
local when, kept, publish, small, hint, longest = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == 'small', ARGV[5], tonumber(ARGV[6])
local n = (#KEYS - 3) / 2
local first, last = 7, 6 + 2 * n
local lives = when ~= 'alive' or call('EXISTS', alive) == 1

local function expire()
  if call('PTTL', inbox) < longest then
    call('PEXPIRE', inbox, longest)
  end
end

-- Nearly always: nothing is known of any of them. Then they are stored and announced as they came, with one command for all.
local function new()
  if not small or publish == '' or not lives or call('EXISTS', unpack(KEYS, 4, 3 + n)) > 0 then
    return false
  end
  local entries, twice = {}, {}
  for i = first, last, 2 do
    local entry = ARGV[i]
    if twice[entry] then
      return false
    end
    twice[entry], entries[#entries + 1] = true, entry
  end
  local known = try('HMGET', inbox, unpack(entries))
  if known.err then -- no hash, so it is not ours
    call('UNLINK', inbox)
    return true
  end
  for _, waiting in ipairs(known) do
    if waiting then
      return false
    end
  end
  return true
end

if new() then
  call('HSET', inbox, unpack(ARGV, first, last)) -- first: what it has is heard in the end, whatever becomes of the message
  expire()
  call(publish, channel, table.concat(ARGV, ':', first, last))
  return n
end

-- Whatever may go wrong for one callback alone is tried: an error would end the script before the others are announced.
-- Gives the result, what is said of it to the home, if that is to hear of it, and what the inbox has to have.
local function put(trip, watchers, entry, given, life)
  local known = try('HMGET', trip, 'gone', 'ops')
  if known.err then -- no hash, so it is not ours
    call('UNLINK', trip)
    known = {}
  end
  local gone, ops = known[1], known[2]
  if gone then
    return {'gone', gone}
  end
  if when == 'record' and not ops then
    return 0
  end
  if not ops and not lives then
    return 2
  end
  local op, announced = string.sub(entry, 33), publish ~= ''
  if announced and not ops then
    local waiting = call('HGET', inbox, entry)
    if waiting and string.find(waiting, ':', 1, true) then
      return waiting == given and 3 or {'inbox', waiting}
    end
    if small and not waiting then
      call('HSET', inbox, entry, given)
      return 1, entry .. ':' .. given
    end
  end
  local value = small and string.sub(given, string.find(given, ':', 1, true) + 1) or given
  if call('HSETNX', trip, op, value) == 0 then
    local stored = call('HGET', trip, op)
    return stored == value and 3 or {'trip', stored}
  end
  if not ops then
    call('PEXPIRE', trip, life)
  else
    if call('HLEN', trip) == ops + 2 then
      for _, what in ipairs({'trip', 'merged', 'events'}) do -- all of them are in the trip's slot
        call('PEXPIRE', (string.gsub(trip, '}:trip:', '}:' .. what .. ':', 1)), kept > 0 and kept or life)
      end
    end
    for _, watcher in ipairs(try('SMEMBERS', watchers)) do
      try('PUBLISH', watcher, hint .. string.sub(entry, 1, 32))
    end
  end
  if not announced then
    return 1
  end
  call('HSET', inbox, entry, #value)
  return 1, small and entry .. '=' .. given or entry .. '::'
end

local results, message = {}, {}
if type(try('HLEN', inbox)) ~= 'number' then
  call('UNLINK', inbox) -- no hash, so it is not ours
end
for i = 1, n do
  local at = first + 2 * (i - 1)
  results[i], message[#message + 1] = put(KEYS[3 + i], KEYS[3 + n + i], ARGV[at], ARGV[at + 1], ARGV[last + i])
end
if #message > 0 then
  expire()
  call(publish, channel, table.concat(message, ':'))
end
return results
