-- Stores what came of an attempt.
-- KEYS  the notification
-- ARGV  2 id, 3 token, 4 state, 5 milliseconds until the next attempt, 6 step of that, 7 the attempt, 8 how many milliseconds it is kept when it ended,
--       9 whether nothing was sent, 0 or 1: then the attempt does not count
-- Returns 1, 0 when it counts for nothing.
local id, token, state = ARGV[2], ARGV[3], ARGV[4]
local n = call('HMGET', KEYS[1], 'state', 'lease', 'host')
if not n[1] or n[1] == 'delivered' or state ~= 'delivered' and (n[1] ~= 'open' or n[2] ~= token) then
  return 0
end
call('HDEL', KEYS[1], 'lease', 'seen')
call('HSET', KEYS[1], 'last', ARGV[7])
if ARGV[9] == '1' then
  call('HINCRBY', KEYS[1], 'attempts', -1)
end
if state == 'open' then
  call('HSET', KEYS[1], 'step', ARGV[6])
  plan(id, n[3], now + ARGV[5])
  return 1
end
close(id, n[3], n[1])
call('HSET', KEYS[1], 'state', state, 'ended', now)
if state == 'delivered' then
  call('HDEL', KEYS[1], 'body', 'sealed')
else
  call('ZADD', prefix .. 'state:' .. state, now, id)
  call('ZREMRANGEBYSCORE', prefix .. 'state:' .. state, '-inf', now - ARGV[8]) -- these have expired
end
call('PEXPIRE', KEYS[1], ARGV[8])
return 1
