-- Claims notifications that are due, the hosts in the order in which they are.
-- KEYS  hosts
-- ARGV  2 token, 3 most, 4 lease and 5 grace in milliseconds, 6 slots of a host, 7 most bytes of bodies, 0: any number, but the first
--       one is always claimed; then for each host that has less: host and slots
-- Returns how many milliseconds it is until another is due, -1 when none is; and for each claimed one: id, host, subscription, URL, body, sealed,
-- attempt, step, since and created.
local token, most, lease, grace, slots, bytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local free, other = {}, 0
for i = 8, #ARGV, 2 do
  free[ARGV[i]] = tonumber(ARGV[i + 1])
  other = other + 1
end
local jobs, size, full = {}, 0, false

-- Claims one, if nobody else has. Otherwise it waits for the grace first, and is claimed the next time.
local function claim(id, host)
  local key = prefix .. 'n:' .. id
  local more = call('HSTRLEN', key, 'body')
  if bytes > 0 and #jobs > 0 and size + more > bytes then
    full = true
    return
  end
  local n = call('HMGET', key, 'state', 'lease', 'seen', 'sub', 'url', 'body', 'sealed', 'step', 'since', 'created', 'trip')
  if n[1] ~= 'open' then -- Redis has lost it, or evicted it
    call('ZREM', prefix .. 'due:' .. host, id)
    call('ZREM', prefix .. 'state:open', id)
    return
  end
  call('HDEL', key, 'seen') -- a full Redis allows this, and after it whatever the script writes
  if n[2] and not n[3] then
    call('HSET', key, 'seen', 1)
    call('ZADD', prefix .. 'due:' .. host, now + grace, id)
    return
  end
  call('HSET', key, 'lease', token)
  call('ZADD', prefix .. 'due:' .. host, now + lease, id)
  table.insert(jobs, {id, host, n[4] or '', n[5] or '', n[6] or '', n[7] or '', call('HINCRBY', key, 'attempts', 1), n[8] or '0', tostring(now - (n[9] or now)),
    n[10] or '0', n[11] or ''})
  size = size + more
end

for _, host in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most + other)) do
  local room = math.min(free[host] or slots, most - #jobs)
  if room > 0 and not full then
    for _, id in ipairs(call('ZRANGEBYSCORE', prefix .. 'due:' .. host, '-inf', now, 'LIMIT', 0, room)) do
      if not full then
        claim(id, host)
      end
    end
    lead(host)
  end
end

local first = call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {first[2] and tostring(first[2] - now) or '-1', jobs}
