-- Begins every script. ARGV[1] is what all keys of the shard begin with. KEYS[2] never exists; keys in redis.go says why.
--
-- n:{id}         hash: a notification. "state", "host", "sub", "trip", "url", "body", "sealed", "size"; "created", "since" (when its window began) and "ended", in
--                Unix milliseconds; "attempts", "step"; "lease", the token of a claim, and "seen": somebody has seen that it ended; "last", JSON.
-- due:{host}     sorted set: ids of the open notifications of a host, by the time of their next attempt, or of the end of their lease
-- hosts          sorted set: hosts that have open notifications, by the earliest of those times
-- state:{state}  sorted set: ids of open notifications by "created", and of those that ended otherwise than delivered by "ended"
local call, prefix = redis.call, ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Gives a host the time of its first notification.
local function lead(host)
  local first = call('ZRANGE', prefix .. 'due:' .. host, 0, 0, 'WITHSCORES')
  if first[1] then
    call('ZADD', prefix .. 'hosts', first[2], host)
  else
    call('ZREM', prefix .. 'hosts', host)
  end
end

-- Has an open notification wait until a time.
local function plan(id, host, at)
  call('ZADD', prefix .. 'due:' .. host, at, id)
  lead(host)
end

-- Takes a notification out of what is open, and out of what ended.
local function close(id, host, state)
  call('ZREM', prefix .. 'state:' .. state, id)
  if state == 'open' then
    call('ZREM', prefix .. 'due:' .. host, id)
    lead(host)
  end
end

