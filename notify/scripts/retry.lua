-- Has an attempt made now, and opens what had ended.
-- KEYS  the notification
-- ARGV  2 id
-- Returns 1, 0 when an attempt runs, -1 when there is none, -2 when it was delivered.
local id = ARGV[2]
local n = call('HMGET', KEYS[1], 'state', 'lease', 'host')
if not n[1] then
  return -1
elseif n[1] == 'delivered' then
  return -2
elseif n[2] then
  return 0
end
if n[1] ~= 'open' then
  close(id, n[3], n[1])
  call('PERSIST', KEYS[1])
  call('HSET', KEYS[1], 'state', 'open', 'since', now, 'step', 0)
  call('HDEL', KEYS[1], 'ended')
  call('ZADD', prefix .. 'state:open', call('HGET', KEYS[1], 'created'), id)
end
plan(id, n[3], now)
return 1
