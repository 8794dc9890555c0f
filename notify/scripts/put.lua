-- Keeps a notification that is due now.
-- KEYS  the notification
-- ARGV  2 id, 3 host, 4 subscription, 5 URL, 6 body, 7 sealed, 8 most open ones, 0: any number, 9 trip
-- Returns 1, 0 when it is known, -1 when too many are open.
local id, host, most = ARGV[2], ARGV[3], tonumber(ARGV[8])
if call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if most > 0 and call('ZCARD', prefix .. 'state:open') >= most then
  return -1
end
call('HSET', KEYS[1], 'state', 'open', 'host', host, 'sub', ARGV[4], 'trip', ARGV[9], 'url', ARGV[5], 'body', ARGV[6], 'sealed', ARGV[7], 'size', #ARGV[6],
  'created', now, 'since', now, 'attempts', 0, 'step', 0)
call('ZADD', prefix .. 'state:open', now, id)
plan(id, host, now)
return 1
