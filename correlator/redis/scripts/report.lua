-- Keeps what engines report of trips of one home, and announces it to those who watch and to the home. Without a record of the trip nothing is
-- kept, and only the home hears the event.
--
-- An event of which the trip has the number already is this script's second run, after an answer that was lost: it changes nothing.
--
-- KEYS  channel of the home; then for each event trip, who watches, what is merged, and events
-- ARGV  1 publishing command for the home: PUBLISH, SPUBLISH; empty: it is not announced to it
--       2 what a hint to those who watch begins with, before the name of the trip
--       3 what a message of events begins with
--       4 how long what is merged of an op may be, and 5 of how many members
--       6 how many events are kept, and 7 of how many bytes
--       8 how long a value is at most that goes with the announcement
--       then for each event: entry, which is the name of the trip, 32 characters, and op; value; the value without its body; the number of its
--       members, and name and text of each
-- Returns for each event its number, 0 when nothing is kept for its trip, -1 when what is merged would be too large; or "trip" and the
-- final of its op, which may be forged.
local call, try = redis.call, redis.pcall
local channel, publish, hint, begins = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local longest, members, kept, bytesKept, inline = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local n, at = (#KEYS - 1) / 4, 9
local most = 1000 -- arguments of one command: Lua's stack has an end
local tagLen, head, nonceLen, noncesLen = 16, 25, 8, 256 * 8
local lastSeq, exact = 2 ^ 32 - 1, 2 ^ 53 -- the largest number of an event, and of what Lua counts exactly

local format = string.format -- of whole numbers: Lua and Redis write others with all their digits, which takes as long as a command

local homeHears, watchersHear = {}, {}

local function say(to, text)
  watchersHear[to] = watchersHear[to] or {}
  table.insert(watchersHear[to], text)
end

-- Gives the number that a text is, nil for what we do not write: it would end in numbers that nobody can read.
local function whole(text, largest)
  local number = tonumber(text or '')
  return number and number >= 0 and number <= largest and number % 1 == 0 and number or nil
end

-- Gives a hash's fields. What is none is not ours.
local function fields(key, names)
  local values = try('HMGET', key, unpack(names))
  if values.err then
    call('UNLINK', key)
    return {}
  end
  return values
end

-- Gives by how many bytes and members the merged object grows with those of ARGV from first to last. known are the texts that it has of the first of
-- them, up to most.
local function growth(merged, first, last, known, offset)
  local bytes, count = 0, 0
  for i = first, last, 2 * most do
    if i > first then
      local names = {}
      for j = i, math.min(i + 2 * most - 2, last), 2 do
        names[#names + 1] = ARGV[j]
      end
      known, offset = call('HMGET', merged, unpack(names)), 0
    end
    for j = 1, (math.min(i + 2 * most - 1, last) - i + 1) / 2 do
      local before, text = known[offset + j], ARGV[i + 2 * j - 1]
      if before then
        bytes = bytes + #text - #before
      else
        bytes, count = bytes + #text - tagLen + 1, count + 1
      end
    end
  end
  return bytes, count
end

local function announce(trip, watchers, entry, seq, value, short)
  local small = #value <= inline
  local text = format('%s:%d:%d:', entry, seq, #value) .. value
  local heard = false
  if seq > 0 then
    for _, watcher in ipairs(try('SMEMBERS', watchers)) do
      if small then
        say(watcher, text)
        heard = heard or watcher == channel
      else
        try('PUBLISH', watcher, hint .. string.sub(entry, 1, 32))
      end
    end
  end
  if publish ~= '' and not heard then
    homeHears[#homeHears + 1] = small and text or format('%s:0:%d:', entry, #short) .. short
  end
end

-- Drops the oldest events that are too many. Gives the bytes of the rest.
local function trim(events, length, bytes)
  while length > kept or bytes > bytesKept and length > 1 do
    local oldest = call('LPOP', events)
    local _, colon = string.find(oldest, '^%d+:%d+:')
    bytes, length = bytes - math.max(0, #oldest - (colon or 0) - head), length - 1
  end
  return bytes
end

local function report(trip, watchers, merged, events, entry, value, short, first, last)
  local op = string.sub(entry, 33)
  local known = fields(trip, {'ops', op})
  local ops, final = tonumber(known[1] or ''), known[2]
  if not ops then
    announce(trip, watchers, entry, 0, value, short)
    return 0
  end
  if tonumber(op) >= ops then
    return 0
  end
  if final then
    return {'trip', final}
  end
  local names = {'seq', 'bytes', 'nonces', 'size:' .. op, 'count:' .. op}
  local stateLen = #names
  for i = first, math.min(first + 2 * most - 2, last), 2 do
    names[#names + 1] = ARGV[i]
  end
  local state = fields(merged, names)
  local seq, bytes, nonces = whole(state[1], lastSeq - 1), whole(state[2], exact) or 0, state[3] or ''
  local size, count = whole(state[4], exact) or 1, whole(state[5], exact) or 0
  local nonce = string.sub(value, 2 + tagLen, 1 + tagLen + nonceLen)
  if not seq then
    call('UNLINK', events)
    seq = 0
  elseif string.find(nonces, nonce, 1, true) then
    return seq
  end
  if last > first then
    local grows, added = growth(merged, first, last, state, stateLen)
    size, count = size + grows, count + added
    if size > longest or count > members then
      return -1
    end
  end
  seq = seq + 1
  local event = format('%d:%s:', seq, op) .. value
  local length = try('RPUSH', events, event)
  if type(length) ~= 'number' then -- no list, so it is not ours
    call('UNLINK', events)
    length = call('RPUSH', events, event)
    bytes = 0
  end
  bytes = trim(events, length, bytes + #value - head)
  call('HSET', merged, 'seq', format('%d', seq), 'bytes', format('%d', bytes), 'nonces', string.sub(nonces .. nonce, -noncesLen),
    'size:' .. op, format('%d', size), 'count:' .. op, format('%d', count), 'last:' .. op, string.sub(value, 1, 1),
    unpack(ARGV, first, math.min(first + 2 * most - 1, last)))
  for i = first + 2 * most, last, 2 * most do
    call('HSET', merged, unpack(ARGV, i, math.min(i + 2 * most - 1, last)))
  end
  if seq == 1 or length == 1 then
    local life = call('PTTL', trip)
    call('PEXPIRE', merged, life)
    call('PEXPIRE', events, life)
  end
  announce(trip, watchers, entry, seq, value, short)
  return seq
end

local results = {}
for i = 1, n do
  local k = 4 * i - 2
  local first = at + 4
  local last = first + 2 * tonumber(ARGV[at + 3]) - 1
  results[i] = report(KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], ARGV[at], ARGV[at + 1], ARGV[at + 2], first, last)
  at = last + 1
end
for watcher, texts in pairs(watchersHear) do
  try('PUBLISH', watcher, begins .. table.concat(texts, ':'))
end
if #homeHears > 0 then
  call(publish, channel, begins .. table.concat(homeHears, ':'))
end
return results
