-- Appends a notification to a topic, once as far as its last ones are concerned.
-- KEYS  the subscription
-- ARGV  2 the notification's id, 3 body, 4 how many notifications the topic keeps, 5 how many bytes, about
-- Returns 1, 0 when the subscription is not active, -1 when there is none, -2 when it has no topic.
local s = call('HMGET', KEYS[1], 'state', 'topic')
if not s[1] then
  return -1
elseif s[1] ~= 'active' then
  return 0
elseif not isTopic(s[2]) then
  return -2
end
local topic, ids, most = s[2], s[2] .. ':ids', tonumber(ARGV[4])
if call('ZSCORE', ids, ARGV[2]) then
  return 1
end
call('XADD', topic, 'MAXLEN', '~', most, '*', 'id', ARGV[2], 'body', ARGV[3])
local last = call('ZREVRANGE', ids, 0, 0, 'WITHSCORES')
call('ZADD', ids, (tonumber(last[2]) or 0) + 1, ARGV[2])
call('ZREMRANGEBYRANK', ids, 0, -most - 1)
local left = call('PTTL', KEYS[1])
if left > 0 then
  call('PEXPIRE', topic, left)
  call('PEXPIRE', ids, left)
end
local n = call('XLEN', topic)
while n > 1 and call('MEMORY', 'USAGE', topic) > tonumber(ARGV[5]) do
  n = math.max(1, math.floor(n * 0.9))
  call('XTRIM', topic, 'MAXLEN', n)
end
return 1
